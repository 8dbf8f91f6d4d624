"""Analysis: reads what a run wrote down, computes, checks, charts and reports. It never opens a socket."""
