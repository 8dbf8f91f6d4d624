"""A made-up run of what the tuner writes: a grid of intervals and one of holds, whose answers one knows by hand.

0.5 events/s and 2 s asked, with time scaled by 4: the right interval is 2/0.95 s, 0.526 s live. Holds at 0.02 events/s,
scaled by 100: 30 s are 0.3 s live, and 24 s need 18 % more requests.
"""

import json

from tests.analysis.fake_run import Plan, make, write_cell

RIGHT_S, HOLD_S = 2 / 0.95, 30.0
SHARES = (0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.25)
HOLDS = (0.5, 0.8, 1.0, 1.25)
POLLED = {"rate_hz": 0.5, "p95_s": 2.0, "scale": 4.0, "transit_s": 0.0, "round_trip_s": 0.0, "interval_s": RIGHT_S}
HELD = {
    "rate_hz": 0.02, "p95_s": 5.0, "scale": 100.0, "transit_s": 0.0, "round_trip_s": 0.0, "hold_s": HOLD_S,
    "hold_most_s": HOLD_S,
}  # fmt: skip
BASE = {
    "feed.schedule": "poisson", "feed.payload_bytes": 256, "feed.topics": "per_subscriber", "feed.rate_hz": 2.0,
    "load.warmup_s": 2.0, "load.measure_s": 6.0, "load.subscribers": 200,
}  # fmt: skip


def plans(shares=SHARES, holds=HOLDS):
    """The cells."""
    for share in shares:
        yield Plan("poll_interval", "polling", BASE | {"polling.interval_s": float(f"{share * RIGHT_S / 4:.6g}")})
    for share in holds:
        held = {"long_polling.hold_s": share * HOLD_S / 100, "long_polling.gap_s": 0.0, "load.subscribers": 60}
        yield Plan("hold_timeout", "long_polling", BASE | held)


def tuned_run(folder, polled=POLLED, held=HELD, **which):
    """Write a run folder and return it; a table that is empty is left out."""
    make(folder, (), transports=("polling", "long_polling"))
    meta = json.loads((folder / "run.json").read_text())
    meta["cells"] = [write_cell(folder, plan, 1, 1) for plan in plans(**which)]
    named = {cell["experiment"] for cell in meta["cells"]}
    meta["experiments"] = {
        name: {"title": name, "question": "Is it right?", "axes": {axis: []}, "expect": {}}
        | ({"tuned": table} if table else {})
        for name, axis, table in (
            ("poll_interval", "polling.interval_s", polled), ("hold_timeout", "long_polling.hold_s", held),
        )
        if name in named
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(meta))
    return folder
