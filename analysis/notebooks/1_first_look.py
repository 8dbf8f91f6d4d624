# %% [markdown]
# # A first look
#
# Six ways to get an event from a server to a subscriber, measured on one machine. After this page you know how soon
# each delivers, what it moves over the wire for an event, and what to distrust in the numbers.
#
# The run is the one that `PUSHBENCH_RUN` names, else `results/latest`.

# %%
from analysis.notebook import cells, opened, show

results = opened()

# %% [markdown]
# ## May anything be concluded?
#
# A cell that is not `ok` is never concluded from: its points are hollow, and its reason stands here.

# %%
results.cells[["experiment", "status"]].value_counts().rename("cells").to_frame()

# %% [markdown]
# ## How soon do events arrive?
#
# Delivery latency is *received − due*: from the moment the event should have gone out to the moment its last byte
# was read. A stalled server cannot hide its stall. Read the right end as well as the middle: users live in the tail.

# %%
show(results, "latency")

# %% [markdown]
# ## What does an event cost?
#
# Push transports ask for nothing; pull transports ask whether or not there is something to be had.

# %%
show(results, "per_event")

# %%
show(results, "frontier")

# %% [markdown]
# ## And with more subscribers?
#
# One event goes to everybody, one send after the other: the last subscriber waits for all before it.

# %%
show(results, "subscribers")

# %%
cells(results, "delivery_ms_p50", "delivery_ms_p99", "bytes_down_per_event", "server_cpu_us_per_delivery")

# %% [markdown]
# **Next:** `2_poll_intervals` asks what a poll interval buys; `make bench EXPERIMENT=fan_out` measures this page again,
# `ARGS="--set feed.payload_bytes=4096"` with larger events.
