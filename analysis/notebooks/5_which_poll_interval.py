# %% [markdown]
# # Which poll interval?
#
# Ask too often, and most answers say “nothing new”. Ask too seldom, and what is new is old. After this page you have an
# interval for *your* traffic, and know what it costs and what would change it.
#
# Put your own numbers into the first cell and run the page: everything below follows from them.

# %%
rate_hz = 0.5  # events per second that one client is to hear of
p95_s = 2.0  # how late is too late: 95 % of the updates within this time, s
most_empty = 0.3  # share of the answers that may bring nothing; None: it does not matter
clients = 20_000  # how many poll
rtt_s = 0.06  # round trip between a client and the server, s
proxy_timeout_s = 60.0  # a proxy between them cuts a silence of this length, s; None: there is no proxy
trace = None  # path of a CSV with your own event times, such as "traces/chat_room.csv": replaces rate_hz

# %%
from analysis import charts_worked, tune_charts, worked
from analysis.notebook import opened

results = opened()
mine = worked.ask(
    results,
    rate_hz=rate_hz,
    p95_s=p95_s,
    most_empty=most_empty,
    clients=clients,
    rtt_s=rtt_s,
    proxy_timeout_s=proxy_timeout_s,
    trace=trace,
)
worked.question(mine)

# %% [markdown]
# ## How long does an update wait?
#
# For the next question. An event falls anywhere between two questions, so every wait from nothing to the whole interval
# *P* is as likely as any other; one transit δ, half a round trip and the service, comes on top. Hence the mean is
# δ + P/2, and 95 % are there within δ + 0.95 P, however often events come. That bounds the interval **from above**.

# %%
worked.draw(mine, charts_worked.waiting)

# %% [markdown]
# ## How many answers are empty?
#
# Those with no event since the question before: e^(-λP) of them, if events come at λ a second independently of each
# other; of a trace they are counted. Fewer empty answers take a longer interval, which bounds it **from below**. If the
# two bounds cross, no fixed interval can do both.

# %%
worked.draw(mine, tune_charts.interval)

# %% [markdown]
# ## What does it cost?
#
# A poll costs the server whether or not it brings anything, and there are *clients / P* of them each second.

# %%
worked.draw(mine, charts_worked.asking)

# %% [markdown]
# ## Would a cleverer poller do better?
#
# It could ask less often after empty answers (back-off), or learn the rate. When events are independent there is nothing
# to learn: the past does not tell when the next one comes. In bursts it does. Points below the line are cleverer.

# %%
worked.draw(mine, charts_worked.cleverer)

# %% [markdown]
# ## Is it true?
#
# The formulas beside pollers that were measured. They depend on the product λP alone, so cells with other rates and
# intervals than yours stand on the same curve as you do: the ring.

# %%
worked.check_polling(mine)

# %% [markdown]
# ## What would change it?

# %%
worked.draw(mine, tune_charts.sensitivity)

# %%
worked.flips(mine)

# %% [markdown]
# ## The answer

# %%
worked.poll_interval(mine)

# %% [markdown]
# **Next:** run it for real, `python -m analysis tune … --write tuned.toml`, then `python -m loadtests run tuned.toml`;
# or ask `6_which_hold_timeout` whether a held request would save you the choice.
