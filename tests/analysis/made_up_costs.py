"""Costs one knows by heart, for tests of the tuner: a request 100 us, a pushed event 20 us, a connection 10 kB."""

from dataclasses import replace

import numpy as np

from analysis.costs import COST_FIELDS, NOTHING, Cost, Costs, Estimate

REQUEST_US, EVENT_US, HELD = 100.0, 20.0, 10_000.0
LABELS = {"polling": "HTTP polling", "long_polling": "HTTP long polling", "sse": "Server-Sent Events"}


def sure(value):
    return Estimate(value, value, value)


def cost(name, *, pulls, event=EVENT_US, spread=0.0):
    def ranging(value):
        return Estimate(value, value * (1 - spread), value * (1 + spread))

    return Cost(
        transport=name, label=LABELS[name], pulls=pulls, payload_bytes=256, heartbeat_s=15.0,
        cpu_us_per_request=ranging(REQUEST_US) if pulls else NOTHING, cpu_us_per_event=ranging(event),
        bytes_up_per_request=NOTHING, bytes_down_per_request=NOTHING, bytes_up_per_event=NOTHING,
        bytes_down_per_event=NOTHING, segments_per_request=NOTHING, segments_per_event=NOTHING,
        connect_cpu_us=sure(300), connect_bytes=sure(300), held_bytes=sure(HELD), idle_bytes_per_minute=NOTHING,
    )  # fmt: skip


def made_up(spread=0.0):
    """A poll's event costs nothing on top of its request, so borders are where one thinks they are."""
    rows = [
        cost("polling", pulls=True, event=0.0, spread=spread),
        cost("long_polling", pulls=True, spread=spread),
        cost("sse", pulls=False, spread=spread),
    ]
    return Costs({row.transport: row for row in rows}, "costs made up for a test", here=True)


def measured_once():
    """The same out of a run without repeats: nothing but values."""
    known = made_up()
    alone = {
        name: replace(one, **{field: Estimate(getattr(one, field).value, np.nan, np.nan) for field in COST_FIELDS})
        for name, one in known.by_transport.items()
    }
    return replace(known, by_transport=alone)
