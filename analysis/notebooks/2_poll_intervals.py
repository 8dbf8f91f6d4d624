# %% [markdown]
# # Poll intervals
#
# Who polls every *P* seconds waits half of it on average, whatever the event rate, and gets an empty answer with
# probability e^(-λP) at λ events a second. After this page
# you can choose an interval for the freshness you need, and say what it costs.

# %%
from analysis.models import interval_for_empty_ratio_s, interval_for_mean_s, interval_for_quantile_s
from analysis.notebook import agreement, cells, opened, show

results = opened()

# %% [markdown]
# ## Latency and empty answers against the interval
#
# The lines are the model and know nothing of the points.

# %%
show(results, "poll_interval")

# %% [markdown]
# ## Theory beside measurement
#
# `theory` is the model for the events that really came, `half_width` is three standard errors. A comparison counts only
# when its half-width is within the tolerance (3 % of a latency, 0.01 of a ratio).

# %%
agreement(results, "poll_interval")

# %%
cells(results, "polling.interval_s", "delivery_ms_mean", "empty_ratio", "requests_per_event", "age_s_mean")

# %% [markdown]
# ## The other way round
#
# For a mean of 250 ms, for a p99 of 1 s, for no more than 10 % empty answers at one event a second: the interval, in s.

# %%
interval_for_mean_s(0.250, 0.0), interval_for_quantile_s(1.0, 0.99, 0.0), interval_for_empty_ratio_s(0.10, 1.0)

# %% [markdown]
# Freshness and empty answers pull in opposite directions. A held request gets around that: see `3_hold_timeouts`.
#
# **Next:** `make bench EXPERIMENT=poll_interval ARGS="--set feed.rate_hz=0.1"`, and see what rare events do to the empty answers.
