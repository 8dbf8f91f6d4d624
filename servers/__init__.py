"""Reference servers: a feed of events on the wire, one readable file per transport.

THE WIRE CONTRACT, version 1
============================

This docstring is all that ``servers`` and ``loadtests`` have in common; they share no code, so that a
codec's mistake on one side cannot cancel out on the other. A server somebody else wrote that keeps to
it can be measured in the place of these.

Paths carry the topic (``[A-Za-z0-9_.-]{1,64}``); one server serves many.

===================== =================================================== =====================================
what                  request                                             answer
===================== =================================================== =====================================
polling, cursor       ``GET /poll/{topic}?after=SEQ[&limit=N]``           200 ``{"events": [...], "last": SEQ}``:
                                                                          the events past ``after``, ``last`` =
                                                                          the last seq in it; 204 when there is
                                                                          none. ``Cache-Control: no-store``
polling, latest state ``GET /poll/{topic}``                               200, the same JSON with the newest
                                                                          event only, ``ETag: "SEQ"``,
                                                                          ``Cache-Control: no-cache``; 304 to a
                                                                          matching ``If-None-Match``; 204 when
                                                                          there is none yet. Events are
                                                                          overwritten: missing one is not a loss
long polling          ``GET /long-poll/{topic}?after=SEQ&hold=SECONDS``   as cursor polling, held until there is
                                                                          an event; 204 when ``hold`` ran out.
                                                                          Without ``hold``, ``Prefer: wait=N``
                                                                          (RFC 7240) is honoured and answered by
                                                                          ``Preference-Applied``. ``/health``
                                                                          names the cap of both
SSE                   ``GET /sse/{topic}[?after=SEQ]``, overridden by     ``text/event-stream``: ``id: SEQ``,
                      ``Last-Event-ID: SEQ``                              ``data: <event>``, ``retry:`` once,
                                                                          comment lines as heartbeats
WebSocket             ``GET /ws/{topic}[?after=SEQ]``, upgrade            a text frame per event; a text frame
                                                                          from the client is published
STOMP                 ``GET /stomp``, upgrade (v12, v11, v10.stomp), or   MESSAGE: body = event, ``message-id:
                      the TCP port; ``SUBSCRIBE``                         TOPIC-SEQ``; ``SEND`` publishes its
                      ``destination:/topic/{topic}``, ``after:SEQ``       body; RECEIPT to any ``receipt``
publish               ``POST /publish/{topic}``, body = data (UTF-8)      202 ``{"seq": SEQ}``; 409 on a
                                                                          scheduled topic
feed                  ``PUT /feed`` ``{"epoch_ns": N, "stop_ns": N}``,    200: the schedule starts at
                      only when started with ``--control``                ``epoch_ns`` on the server's clock
health, clock, stats  ``GET /health``, ``/clock``, ``/stats``             JSON, see below
===================== =================================================== =====================================

The event
---------
``{"topic": "t0", "seq": 17, "due_ns": 5, "sent_ns": 6, "data": "..."}``, times in ns on the server's
monotonic clock. ``data`` checks itself::

    {"crc32":"89abcdef",<the rest of a JSON object>
    0        10      18 19

It is JSON text; ``data[10:18]`` is the CRC-32 (lower-case hex) of ``topic|seq|text`` in UTF-8, where
``text = data[19:]``, everything behind the checksum's closing quote. ``payload_bytes`` is the length of
``data`` in UTF-8, before JSON escaping. The events of a published topic carry whatever was published.

The feed
--------
Scheduled topics are ``t0 … tN-1``: ``due_ns = epoch_ns + offset(seed, topic, seq)``, a pure function; ``seq``
starts at 1 and has no holes. Started with ``--control`` the feed waits for ``PUT /feed``; otherwise it starts at
once. Events due at or after ``stop_ns`` are never published. Any other topic is a published one; it
exists from the first publish on. The server keeps a bounded log of each topic.

A server that is started again with the same feed, seed and ``--epoch-ns N [--stop-ns N]`` has the same log *before it
listens*: a subscriber resumes as if nothing had happened (the events carry a new ``sent_ns``, and the ``due_ns`` they
had). ``PUT /feed`` takes an epoch in the past, too, by an hour or a million events at most, and is answered when all
that was due is in the log; a cursor that comes before that is still beyond the newest event.

``after`` absent on a push transport or a long poll means live only. ``after`` beyond the newest event, or behind the
oldest still held, is answered 410 (STOMP: ERROR; WebSocket: close 4410) with ``oldest`` and ``newest``, never by a
silent gap. ``after=0`` asks for everything from the first event.

STOMP
-----
Versions 1.2, 1.1 and 1.0. ``host`` may be anything. A destination is ``/topic/{topic}``; the body of a SEND is UTF-8
and becomes the event's ``data``, its user-defined headers (``header_bytes`` in all) come back in every MESSAGE behind
ours. An ``id`` and a transaction's name have 255 characters at most. Over WebSocket, messages to the server may be text
or binary and hold any piece of the stream; after an ERROR it is closed with 1002 (a mistake), 1009 (too big), 1008 (a
limit, a time-out, a wrong login) or 1013 (too many topics; or the log has overtaken a replay).

A topic is a log, not a queue: with ``ack:client`` and ``ack:client-individual`` ACK and NACK settle a message for one
subscription, for as long as the log holds it (the newest 10,000), and change nothing for others. NACK discards; no
message is sent twice on one subscription. What was not settled when a connection ended is delivered again to whoever
subscribes with ``after:`` the last seq that was. A transaction is carried out at COMMIT as a whole or, when anything in
it would be refused, not at all; 100 may be open on one connection, with 1000 frames and 1 MiB in them.

Refusals
--------
400 with a problem (RFC 9457, ``application/problem+json``) naming parameter, value and expectation; 404 unknown
topic; 426 with ``Sec-WebSocket-Version: 13`` to another WebSocket version. A STOMP mistake gets ERROR with
``message`` (and ``receipt-id``), then the connection closes. Over a limit, all of which ``/health`` names: 408 (a
request that does not end), 413 (body), 414 and 431 (request line, header fields), 429 or 503 with ``Retry-After``;
WebSocket closes with 1009 (message too big), 1008 (policy) or 1013 (try again later). ``/stats`` counts each under
``drops`` by reason.

Who may come in
---------------
Started with a token, every request but ``/health`` needs ``Authorization: Bearer TOKEN`` (RFC 6750), else 401 with
``WWW-Authenticate: Bearer``; started with a login, STOMP's CONNECT needs ``login`` and ``passcode``, else ERROR. A
request with an ``Origin`` that is neither the server's own nor on its list is refused with 403 where it upgrades or
changes state; one without ``Origin`` comes from no browser and is let in. Bound to loopback, a request whose ``Host``
is neither an address nor ``localhost`` nor a name the server was given is answered 421: a page's own name that was
pointed here (DNS rebinding).

READY, health, clock, stats
---------------------------
When it listens, the program prints one line of JSON: ``{"ready": true, "pid": N, "http": "http://HOST:PORT",
"tcp": "HOST:PORT" | null, "tls": null | {"versions": ["1.2", "1.3"], "ca_file": PATH | null}, "transports": [...]}``;
over TLS ``http`` begins with ``https`` and the TCP port speaks TLS too; ``ca_file`` holds the authority of a throw-away
certificate for as long as the server runs. ``/clock`` answers ``{"now_ns": N}``. ``/health`` answers ``{"ready":
true, "contract": 1, "transports": [...], "limits": {...}, "feed": {"state": "waiting" | "running" | "stopped",
"epoch_ns", "stop_ns", "topics", "schedule", "rate_hz", "payload_bytes", "seed"}}``. ``/stats`` answers ``{"published":
{TOPIC: newest seq}, "connections": {TRANSPORT: {"open", "total"}}, "bytes_written": N, "drops": {REASON: N}}``.
"""
