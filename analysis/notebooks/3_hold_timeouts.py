# %% [markdown]
# # Hold time-outs
#
# A long poll is held until there is an event, or until the hold has passed. After this page you know why the hold
# hardly moves latency, what it does buy, and why the gap between two requests is what counts.

# %%
from analysis.models import hold_for_empty_ratio_s, long_polling_mean_s
from analysis.notebook import agreement, cells, opened, show

results = opened()

# %% [markdown]
# ## Latency and empty answers against the hold
#
# On loopback the gap *G* between an answer and the next request is almost nothing. `gap_s` lets the client wait, and so
# makes visible what a network would do.

# %%
show(results, "hold_timeout")

# %% [markdown]
# ## Theory beside measurement
#
# The transit δ is taken from a reference cell, a long poll that is always held, never from the cell it predicts.

# %%
agreement(results, "hold_timeout")

# %%
cells(results, "long_polling.hold_s", "long_polling.gap_s", "delivery_ms_mean", "delivery_ms_p95", "empty_ratio")

# %% [markdown]
# ## The other way round
#
# The hold, in s, for 1 % empty answers at one event each ten seconds; and the mean, in s, that a gap of 100 ms makes of
# a transit of 50 ms at one event a second.

# %%
hold_for_empty_ratio_s(0.01, 0.1, 0.1), long_polling_mean_s(1.0, 25.0, 0.1, 0.05)

# %% [markdown]
# RFC 6202 (5.5): 30 s is safe through proxies, 120 s has worked.
#
# **Next:** `make bench EXPERIMENT=hold_timeout ARGS="--set long_polling.gap_s=1"`, and watch the requests turn into polling.
