# %% [markdown]
# # Which transport?
#
# HTTP knows questions and answers; your users want to be told without asking. There are six ways round that here:
#
# - **Polling**: ask again and again. Simple, stateless, works through everything.
# - **Long polling**: ask, and be kept waiting until there is something.
# - **Server-Sent Events**: one answer that never ends. One way, plain HTTP; browsers reconnect and resume by themselves.
# - **WebSocket**: an HTTP request that turns into a connection for messages in both directions.
# - **STOMP over WebSocket**, and **over TCP**: publish and subscribe as a protocol of its own, with destinations,
#   receipts and transactions; on a WebSocket where a browser is to speak it, on a plain port where none is.
#
# After this page you have one for *your* numbers: put them into the first cell, and everything below follows from them.

# %%
rate_hz = 0.5  # events per second that one client is to hear of
p95_s = 2.0  # how late is too late: 95 % of the updates within this time, s
most_empty = None  # share of a poller's answers that may bring nothing, such as 0.3; None: it does not matter
clients = 20_000  # how many listen
rtt_s = 0.06  # round trip between a client and the server, s
proxy_timeout_s = 60.0  # a proxy between them cuts a silence of this length, s; None: there is no proxy
trace = None  # path of a CSV with your own event times, such as "traces/chat_room.csv": replaces rate_hz
core_hour = 0.04  # price of a core for an hour, in your currency
gib_hour = 0.005  # price of a GiB of memory for an hour
gb_sent = 0.05  # price of a GB sent

# %%
from analysis import charts_choice, worked
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
    core_hour=core_hour,
    gib_hour=gib_hour,
    gb_sent=gb_sent,
)
worked.question(mine)

# %% [markdown]
# ## Who is fresh enough?
#
# Who pushes needs one transit. A long poll needs about that, three at the most. A poller needs as long as you let it, so
# it is given the longest interval that meets your goal: nobody wins here by being faster than you asked.

# %%
worked.draw(mine, charts_choice.freshness)

# %% [markdown]
# ## What does each cost?
#
# Pollers pay by the question, whether or not there is news; push pays by the event, and for a connection that stands in
# the server's memory all day. Bytes sent are headers to the one and frames to the other.

# %%
worked.draw(mine, charts_choice.paying)

# %%
worked.choices(mine)

# %% [markdown]
# ## Where do you stand?
#
# Rate and tolerated delay decide most of it: what counts is *how many events fall into the delay you tolerate*. If
# several do, one answer carries them all, and polling is cheap; if hardly one does, most questions are in vain.

# %%
worked.draw(mine, charts_choice.mapped)

# %% [markdown]
# ## Is it true?
#
# The answer stands on costs that were measured: so many us of the server's CPU for a request, so many for an event. If
# that is all there is to it, every measured cell lies on the diagonal, whatever its interval or hold.

# %%
worked.check_costs(mine)

# %% [markdown]
# ## What would change it?

# %%
worked.draw(mine, charts_choice.flipping)

# %% [markdown]
# What no price shows may weigh more. Do clients send as often as they receive? Then a WebSocket saves them a request each
# time. Must nothing be lost over a reconnection? Every transport here resumes; ask whether your server does. Is there a
# proxy that buffers answers? Then Server-Sent Events arrive in lumps, and a WebSocket or a long poll gets through.

# %% [markdown]
# ## The answer

# %%
worked.transport(mine)

# %% [markdown]
# **Next:** `python -m analysis plan --clients 1e6 --rate 0.5 --p95 2s` for cores, memory and a storm of reconnections at your
# scale; `make bench` here, so that the costs are your machine's.
