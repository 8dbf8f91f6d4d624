# %% [markdown]
# # Connection cost
#
# Before the first event there is a connection, and between events it is held. After this page you know what opening
# and holding one costs in time, bytes and memory, and what it says while nothing happens.

# %%
from analysis.notebook import cells, opened, show

results = opened()

# %% [markdown]
# ## Opening, holding, idling
#
# Phases are medians: the TCP handshake, the HTTP answer or upgrade, the subscription. Memory is the server's, in user space and in
# the kernel's socket buffers (both ends are on this machine: half of the growth is the server's).

# %%
show(results, "connection")

# %% [markdown]
# ## The numbers

# %%
cells(results, "connect_ms_p50", "connect_ms_p99", "connect_bytes", "server_cpu_us_per_connection")

# %%
cells(results, "server_user_bytes_per_connection", "server_kernel_bytes_per_connection", "idle_bytes_per_minute")

# %% [markdown]
# A heartbeat costs bytes all day and finds a dead connection sooner; a poller pays with a request each time instead.
#
# **Next:** `make bench EXPERIMENT=connection_cost ARGS="--set load.subscribers=2000"`: what one connection costs, times yours.
