"""A relay between server and load that spoils what passes, and keeps a ledger of what it did.

``python -m tests.relay [faults] -- python -m servers …`` starts the server, listens in front of it and prints the
server's READY line with its own addresses in it, so that a runner takes it for the server. It understands just enough
of each transport to act on whole events, and shares no code with servers, load generator or analysis: what they count
is held against what it wrote down.

faults.py    which event meets with which fault, and the ledger
framings.py  where an event begins and ends on each transport
wire.py      two sockets, and when what came out of one goes into the other
"""
