# %% [markdown]
# # Which hold time-out?
#
# A long poll is a question that the server does not answer until there is something to say, or until the *hold* has
# passed. How long should it keep a client waiting? After this page you have a hold for *your* traffic and proxies, and
# know why it matters less than people think.
#
# Put your own numbers into the first cell and run the page: everything below follows from them.

# %%
rate_hz = 0.05  # events per second that one client is to hear of
p95_s = 2.0  # how late is too late: 95 % of the updates within this time, s
most_empty = 0.1  # share of the answers that may bring nothing; None: it does not matter
clients = 20_000  # how many are held
rtt_s = 0.06  # round trip between a client and the server, s
proxy_timeout_s = 60.0  # a proxy between them cuts a silence of this length, s; None: there is no proxy
trace = None  # path of a CSV with your own event times, such as "traces/chat_room.csv": replaces rate_hz

# %%
from analysis import charts_choice, charts_worked, tune_charts, worked
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
# ## Does an update wait for the hold?
#
# No: a held question is answered the moment an event is there, one transit δ away. Only an event that falls into the
# gap *G*, between an answer and the next question, waits for that question: three transits at the most (RFC 6202).

# %%
worked.draw(mine, charts_worked.holding)

# %% [markdown]
# ## Then what does the hold buy?
#
# Fewer empty answers. A hold that runs out sends a client away with nothing, only to ask again; it runs out when no event
# came for *G + H*, which is e^(-λ(G+H)) of the time for independent events.

# %%
worked.draw(mine, tune_charts.hold)

# %% [markdown]
# ## Why not hold for ever?
#
# Because of what stands between: a proxy that sees no byte for its time-out cuts the connection. The client then waits
# before it asks again, and an event that comes meanwhile waits with it. Stay well below; RFC 6202 (5.5) found 30 s safe
# and 120 s workable. A hold also tells both ends, now and then, that the other is alive.

# %%
worked.draw(mine, charts_worked.cutting, "You have no proxy between: then the clients' own patience is the limit.")

# %% [markdown]
# ## What does it cost?
#
# Every event is a question and an answer, and every client holds a connection all the time. Polling asks at its own
# pace, whatever happens: when events are frequent, it is polling that asks less.

# %%
worked.draw(mine, charts_worked.crossing)

# %%
worked.choices(mine)

# %% [markdown]
# ## Is it true?
#
# The formulas beside long polls that were measured, with the gap made wide on purpose. Their empty answers depend on
# λ(G+H) alone: you are the ring.

# %%
worked.check_long_polling(mine)

# %% [markdown]
# ## What would change it?
#
# The hold itself follows your rate and your proxy. Whether to long poll at all hangs on these:

# %%
worked.draw(mine, charts_choice.flipping)

# %% [markdown]
# ## The answer

# %%
worked.hold_timeout(mine)

# %% [markdown]
# **Next:** `7_which_transport` asks whether a connection that is never given back would be cheaper still; `make bench
# EXPERIMENT=hold_timeout ARGS="--set feed.rate_hz=0.1"` measures holds at a rate of yours.
