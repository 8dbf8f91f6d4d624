"""The load generator: takes events off the wire and writes down what arrived.

THE RESULTS FORMAT, version 1
=============================

::

    results/<UTC>-<name>/           name: the experiment, or the suite; results/latest -> the newest run
        run.json                    what ran where, and how each cell ended (below)
        experiments/<name>.toml     verbatim copies
        cells/<id>/
            deliveries.parquet  responses.parquet  connections.parquet  publishes.parquet     (columns below)
            resources.csv           CPU, memory and descriptors of the server and load processes
            server.log  locust.log
        summary.csv  cells.csv  report/      written by ``analysis``

``loadtests`` writes raw rows and what happened; ``analysis`` computes metrics and pronounces ``ok`` or ``invalid``.
Integers are signed 64-bit; ``*_ns`` are nanoseconds on the monotonic clock of the host that wrote them.

deliveries
    ``subscriber, connection`` (attempt number, from 0)``, topic`` (its index: 7 is ``t7``)``, seq, due_ns, sent_ns,
    received_ns`` (when the bytes that complete the event were read from the kernel)``, bytes`` (of the event's JSON).
    ``seq = 0`` is a *corrupted* delivery: it did not decode, or its checksum failed.
responses (polling, long polling)
    ``subscriber, started_ns`` (request sent)``, finished_ns, status, events`` (new ones)``, bytes_sent,
    bytes_received``. Another status than 200, 204 and 304 is a refusal or an error: a request that was
    answered, and no empty response.
publishes (only where ``feed.publisher`` is ``subscribers``: each publishes to a topic of its own, ``uN``)
    ``subscriber, seq`` (0: it was not taken, or nobody knows)``, due_ns`` (by the client's own schedule)``, sent_ns``
    (when it went out)``, acknowledged_ns`` (202, RECEIPT)``, status`` (of the HTTP answer; 0: the way has none; -1: it
    did not go out, or its acknowledgement did not come)``, bytes_sent, bytes_received`` (request or frame, and HTTP
    answer, without TLS). Null: it never came. In deliveries ``due_ns = sent_ns`` is then when the server took the
    event. The server's events and these meet in ``(subscriber, seq)``; seq 1 opened the topic.
connections
    ``subscriber, attempt, purpose`` (``publish``: one that does nothing else; else empty)``, started_ns, tcp_ns,
    tls_ns, upgraded_ns, subscribed_ns`` (the end of each phase, null when it
    has none)``, extensions, subprotocol, heartbeats, bytes_up_subscribed, bytes_down_subscribed, bytes_up, bytes_down,
    segments_up, segments_down, closed_ns, why``. Bytes and segments are the kernel's (``TCP_INFO``), SYN and FIN
    taken off; null where there is no such count.
resources.csv
    ``at_ns, mark, process`` (``server`` | ``load``)``, pid, cpu_ns`` (user + system, cumulative)``, rss_bytes, fds,
    threads, kernel_bytes`` (the machine's TCP buffers and slab: it belongs to both ends)``. ``mark`` is empty for the
    periodic samples and names the moment otherwise: ``ready, verified, subscribed, from, to, drained``.

run.json
    ``format, name, started, finished`` (UTC)``, command, seed, git {revision, dirty}, machine {...}, versions {...},
    clock {...}, transports {name: {label, specification, pulls}}, experiments {name: {title, question, axes, expect,
    target, tuned}}`` (where there is one; tuned: what a tuner was asked, and recommends)``, floor {transport: {...}}``
    (null: not wanted)``, resumed [{at, command, git, differs [..]}], gave_way [..]`` (what of the experiments did, to a
    target)``, cells [...]``. A cell::

        id, experiment, cell, repeat, transport, seed, settings {dotted key: value}, role ("measure" | "reference"),
        status ("done" | "failed" | "skipped" | "pending"), why,
        window {epoch_ns, from_ns, to_ns, stop_ns, drained_ns},    warm-up is epoch … from, the measurement from … to
        published {topic: newest seq},                              as the server counted when the cell ended
        load {subscribers, publishes, failures {reason: n}, late_ms_p50, late_ms_p99,  summed, or the worst of all
              window_bytes {up, down, segments_up, segments_down}},    between from and to, all connections
        server {ready {...}, stats {...}}, cpus {server [..], load [..]}, verify {checks, seconds},
        aside [{folder, status, why, ...}]    attempts that did not end well: their rows, in folders beside the cell's
        of a target only:
        target {url, feed (its state when the cell began)}, unverified (why it could not be verified),
        clock {start, end {at_ns, offset_ns, bound_ns, round_trips}},    the server's clock minus ours, give or take
        owed_from {topic: newest seq}    when subscribing began: owed is what lies between it and ``published``, counted
                                         at the window's end; without either, from the first received to the last

    ``role = "reference"`` is a cell that shows one transit of a pull transport (a long poll that is always held);
    models take their δ from it, never from the cell they predict.

Version history: 1, the first.
"""

FORMAT = 1
