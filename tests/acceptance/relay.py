"""``python -m tests.acceptance.relay [COUNTS|SHIFT|STALL …] [TRANSPORT …]``: does the instrument see what a relay does?

COUNTS: 1 % of the events dropped, 0.5 % repeated, 1 % swapped with their neighbour, 1 % with a byte flipped. Expected:
the ledger's own numbers, exactly.

SHIFT: everything from the server 50 ms later. Expected: every delivery 50 ms later, to 1 ms in the mean and the median
of paired differences (the same events, undelayed, through the same relay). A poll's own share of the latency grows by
50 ms and its wait stays (METHODOLOGY: mean delta + P/2), but its phases are drawn anew, so the difference of two means
is compared, which also has to be 50 ms to 1 ms; a long poll leaves a gap of 50 ms that events may fall into (mean
delta + G^2 / 2C), computed from the due times there were.

STALL: all traffic stands still for S once in W. Expected: p99 = S - 0.01 W, and P/2 more for polls, whose last answer
before the stall lies P/2 back. The p99 is where 0.01 n of n Poisson events lie beyond it, plus or minus the square root
of that, so its standard error is W sqrt(0.01 / n); three of them are allowed. Beside it stands the p99 of the due times
there were, which has no sampling error.

About five minutes; exit code 1 when something disagrees. A busy machine disagrees.
"""

from __future__ import annotations

import math
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tests.relay.pipeline import TRANSPORTS, Relayed, measure

DELAY_MS = 50.0
WITHIN_MS = 1.0
STALL_S, STALL_AT_S, WINDOW_S = 1.41, 3.0, 8.0  # wrk2's stall
# Longer than the delay, or the poll's period would grow; at most 0.02 W, or the p99 would lie beyond S and the formula.
POLL_S = 0.08
TOML = """
transports = ["{transport}"]
seed = 7
[feed]
topics = "per_subscriber"
rate_hz = {rate_hz}
[load]
subscribers = {subscribers}
warmup_s = 0.5
measure_s = {measure_s}
"""
POLLING = f"[polling]\ninterval_s = {POLL_S}\n"
SEVERAL = {"polling": POLLING, "long_polling": "[long_polling]\ngap_s = 0.05\n"}  # events in an answer


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table; ``within`` 0 asks for equality, a NaN for nothing: the figure only stands beside."""

    transport: str
    what: str
    expected: float
    measured: float
    within: float

    @property
    def agrees(self) -> bool:
        """Whether it does."""
        return math.isnan(self.within) or abs(self.measured - self.expected) <= self.within

    def __str__(self) -> str:
        form = ",.0f" if self.within == 0 else ",.2f"
        allowed = "" if math.isnan(self.within) else "exact" if self.within == 0 else f"± {self.within:.2f}"
        figures = f"{self.expected:>12{form}}{self.measured:>12{form}}{allowed:>10}"
        return f"{self.transport:<16}{self.what:<46}{figures}  {'' if self.agrees else 'DISAGREES'}"


def run(transport: str, faults: list[str], *, rate_hz: float, subscribers: int, measure_s: float, more: str) -> Relayed:
    """Measure one cell behind the relay."""
    toml = TOML.format(transport=transport, rate_hz=rate_hz, subscribers=subscribers, measure_s=measure_s)
    with tempfile.TemporaryDirectory() as folder:
        relayed = measure(Path(folder), toml + more, faults)
    if any(line["fault"] == "late" for line in relayed.ledger):
        late = relayed.note("late")
        print(f"{transport:<16}the relay was late: p50 {late['us_p50']:g} us, p99 {late['us_p99']:g} us", flush=True)
    return relayed


def counts(transport: str) -> Iterator[Line]:
    """Every fault at the issue's own rates, 10,000 deliveries."""
    odds = ["--drop=0.01", "--repeat=0.005", "--swap=0.01", "--flip=0.01"]
    relayed = run(transport, odds, rate_hz=100, subscribers=20, measure_s=4.5, more=SEVERAL.get(transport, ""))
    done = {fault: len(relayed.done(fault)) for fault in ("drop", "repeat", "swap", "flip", "spoil")}
    yield Line(transport, "lost (dropped, flipped)", done["drop"] + done["flip"], relayed.summary["lost"], 0)
    yield Line(transport, "duplicated (repeated)", done["repeat"], relayed.summary["duplicated"], 0)
    yield Line(transport, "reordered (swapped)", done["swap"], relayed.summary["reordered"], 0)
    yield Line(transport, "corrupted (flipped)", done["flip"] + done["spoil"], relayed.summary["corrupted"], 0)


def shift(transport: str) -> Iterator[Line]:
    """The same events with and without the delay."""
    size = {
        "polling": {"rate_hz": 40.0, "subscribers": 50, "measure_s": 10.0, "more": POLLING},
        "long_polling": {"rate_hz": 1.0, "subscribers": 200, "measure_s": 8.0, "more": ""},
    }.get(transport, {"rate_hz": 10.0, "subscribers": 20, "measure_s": 6.0, "more": ""})
    plain = run(transport, [], **size)
    delayed = run(transport, [f"--delay={DELAY_MS / 1e3}"], **size)
    yield from _SHIFTS.get(transport, _pushed)(transport, plain, delayed)


def _latency(relayed: Relayed) -> pd.Series:
    """Latencies of the window in ms, by subscriber and seq."""
    rows = relayed.deliveries
    window = relayed.cell.window
    assert window is not None
    rows = rows[rows["due_ns"] >= window.from_ns].set_index(["subscriber", "seq"])
    return (rows["received_ns"] - rows["due_ns"]) / 1e6


def _pushed(transport: str, plain: Relayed, delayed: Relayed) -> Iterator[Line]:
    apart = (_latency(delayed) - _latency(plain)).dropna()
    yield Line(transport, f"shift, mean of {len(apart)} pairs, ms", DELAY_MS, apart.mean(), WITHIN_MS)
    yield Line(transport, "shift, median, ms", DELAY_MS, apart.median(), WITHIN_MS)


def _polled(transport: str, plain: Relayed, delayed: Relayed) -> Iterator[Line]:
    before, after = _latency(plain), _latency(delayed)
    error = POLL_S * 1e3 / math.sqrt(12) * math.sqrt(1 / len(before) + 1 / len(after))
    what = f"shift of the mean, n {len(after)}, s.e. {error:.2f}, ms"
    yield Line(transport, what, DELAY_MS, after.mean() - before.mean(), WITHIN_MS)
    took = [(one.responses["finished_ns"] - one.responses["started_ns"]) / 1e6 for one in (plain, delayed)]
    yield Line(transport, "shift of the answers, mean, ms", DELAY_MS, took[1].mean() - took[0].mean(), WITHIN_MS)
    yield Line(transport, "shift of the answers, median, ms", DELAY_MS, took[1].median() - took[0].median(), WITHIN_MS)


def _long_polled(transport: str, plain: Relayed, delayed: Relayed) -> Iterator[Line]:
    apart = (_latency(delayed) - _latency(plain)).dropna()
    rate_hz, gap_s = 1.0, DELAY_MS / 1e3
    cycle_s = gap_s + math.exp(-rate_hz * gap_s) / rate_hz
    model = DELAY_MS + 1e3 * gap_s**2 / (2 * cycle_s)
    realised = DELAY_MS + _waits_ms(delayed, gap_s).reindex(apart.index).mean()
    yield Line(transport, f"shift, mean of {len(apart)} pairs, due times, ms", realised, apart.mean(), WITHIN_MS)
    yield Line(transport, "shift, mean, delta + G^2/2C, ms", model, apart.mean(), WITHIN_MS)
    yield Line(transport, "shift, median, ms", DELAY_MS, apart.median(), WITHIN_MS)


_SHIFTS: dict[str, Callable[[str, Relayed, Relayed], Iterator[Line]]] = {
    "polling": _polled,
    "long_polling": _long_polled,
}


def _waits_ms(relayed: Relayed, gap_s: float) -> pd.Series:
    """How long each event waits for the next long poll when an answer is followed by one after the gap."""
    waits = {}
    for subscriber, rows in relayed.deliveries.sort_values("due_ns").groupby("subscriber"):
        asked_ns = answered_ns = 0
        for seq, due_ns in zip(rows["seq"], rows["due_ns"], strict=True):
            # All that is pending when the poll comes goes into its answer.
            if due_ns > answered_ns:
                asked_ns = answered_ns + round(gap_s * 1e9)
                answered_ns = max(due_ns, asked_ns)
            waits[subscriber, seq] = (answered_ns - due_ns) / 1e6
    return pd.Series(waits)


def stall(transport: str) -> Iterator[Line]:
    """One stall in a window, events arriving all the time."""
    faults = [f"--stall={STALL_S}", f"--stall-at={0.5 + STALL_AT_S}"]
    polled = transport == "polling"
    relayed = run(transport, faults, rate_hz=10, subscribers=60, measure_s=WINDOW_S, more=POLLING if polled else "")
    events = len(_latency(relayed))
    expected = 1e3 * (STALL_S + POLL_S / 2 * polled - 0.01 * WINDOW_S)
    within = 3e3 * WINDOW_S * math.sqrt(0.01 / events)
    p99 = relayed.summary["delivery_ms_p99"]
    yield Line(transport, f"p99, S - 0.01 W{' + P/2' * polled}, n {events}, ms", expected, p99, within)
    yield Line(transport, "p99 of the due times there were, ms", _stalled_p99_ms(relayed), p99, math.nan)


def _stalled_p99_ms(relayed: Relayed) -> float:
    """The p99 when everything that was due since the last answer before the stall comes at its end."""
    stall_ns = relayed.note("stall")
    latency = _latency(relayed)
    rows = relayed.deliveries.set_index(["subscriber", "seq"]).loc[latency.index]
    due_ns = rows["due_ns"].to_numpy()
    since_ns = np.full(len(rows), stall_ns["from_ns"])
    if relayed.cell.transport == "polling":
        asked = relayed.responses[relayed.responses["finished_ns"] < stall_ns["from_ns"]]
        last = asked.groupby("subscriber")["started_ns"].max()
        since_ns = last.loc[rows.index.get_level_values("subscriber")].to_numpy()
    stood = (due_ns >= since_ns) & (due_ns < stall_ns["to_ns"])
    # What was not caught is well below the p99, whatever it is exactly.
    return float(np.quantile(np.where(stood, stall_ns["to_ns"] - due_ns, 0) / 1e6, 0.99))


CHECKS: dict[str, Callable[[str], Iterator[Line]]] = {"COUNTS": counts, "SHIFT": shift, "STALL": stall}


def main(words: list[str]) -> int:
    """Run what was named, or all of it."""
    if unknown := sorted(set(words) - set(CHECKS) - set(TRANSPORTS)):
        print(f"{unknown[0]}: expected some of {' '.join([*CHECKS, *TRANSPORTS])}", file=sys.stderr)
        return 2
    print("load average {:.2f} {:.2f} {:.2f}".format(*os.getloadavg()), flush=True)
    lines = []
    for name in [name for name in CHECKS if name in words] or CHECKS:
        for transport in [one for one in TRANSPORTS if one in words] or TRANSPORTS:
            for line in CHECKS[name](transport):
                print(line, flush=True)
                lines.append(line)
    wrong = sum(not line.agrees for line in lines)
    print(f"{len(lines)} figures, {wrong} disagree; load average {os.getloadavg()[0]:.2f}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
