import dataclasses

import pytest

from analysis import checks
from analysis.load import Run
from analysis.measured import measure
from tests.analysis.rows import S, cell

FINE = [(0, 0, seq, 10_000 + 50 * seq, 10_000 + 50 * seq, 10_001 + 50 * seq) for seq in range(1, 101)]
HELD = [{"subscriber": 0, "started_ns": 0, "tcp_ns": 1}]


def made(tmp_path, rows=FINE, connections=HELD, published=None, **changes):
    owed = {"t0": len(rows)} if published is None else published
    return cell(tmp_path, rows, connections=connections, published=owed, **changes)


def status(one):
    return checks.status(one, measure(one, pulls=False))


def busy(process, share):
    spent = round(share * 10 * S)
    return [(10 * S, "from", process, 1, 0, 1, 1, 1, 1), (20 * S, "to", process, 1, spent, 1, 1, 1, 1)]


def test_a_good_cell_is_ok(tmp_path):
    assert status(made(tmp_path)) == "ok"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"rows": [], "published": {"t0": 3}}, "no deliveries where events were owed"),
        ({"published": {"t0": 103}}, "3 lost"),
        ({"rows": [*FINE, FINE[5]], "published": {"t0": 100}}, "1 duplicated"),
        ({"rows": [*FINE, (0, 0, 0, 1, 1, 1)], "published": {"t0": 100}}, "1 corrupted"),
        ({"connections": []}, "0 of 1 subscribers subscribed"),
        ({"load": {"subscribed": 0}}, "0 of 1 subscribers subscribed"),
        ({"load": {"late_ms_p99": 2.5}}, "2.5 ms late, more than 2 ms"),
        ({"resources": busy("load", 0.95)}, "a load process used 95% of its core"),
        ({"verify": {"failed": "resume: expected 3, got 4"}}, "verification failed: resume: expected 3, got 4"),
    ],
)
def test_invalid_and_why(tmp_path, change, says):
    found = status(made(tmp_path, **change))
    assert found.startswith("invalid: ")
    assert says in found


def test_a_latency_below_what_the_clocks_are_known_to_is_not_claimed(tmp_path):
    ends = {"offset_ns": 10 * S, "bound_ns": 3_000_000}
    clock = {"start": {"at_ns": 0} | ends, "end": {"at_ns": 20 * S} | ends}
    theirs = [(0, 0, s, 20_000 + 50 * s, 20_000 + 50 * s, 10_001 + 50 * s) for s in range(1, 101)]
    one = made(tmp_path, theirs, clock=clock)
    assert "the median latency, 1 ms, lies within what the clocks are known to (± 3 ms)" in status(one)
    slow = made(tmp_path, [(*row[:5], row[5] + 9) for row in theirs], clock=clock)
    assert status(slow) == "ok"
    (said,) = checks.cell_caveats(measure(slow, pulls=False))
    assert said.seen == "the server's clock is another one: latencies are right to ± 3 ms"


def test_a_target_that_could_not_be_verified_says_why(tmp_path):
    one = made(tmp_path, verify={}, unverified="POST http://h/publish/x: status 405, expected 2xx")
    (said,) = checks.cell_caveats(measure(one, pulls=False))
    assert said.seen.endswith("not verified before timing: POST http://h/publish/x: status 405, expected 2xx")


def test_events_published_late(tmp_path):
    late = [(0, 0, s, 10_000 + 50 * s, 10_003 + 50 * s, 10_004 + 50 * s) for s in range(1, 101)]
    assert "events were published (p80) 3 ms late, more than 2 ms" in status(made(tmp_path, late))


def test_lateness_is_measured_by_the_median_where_latencies_are_long(tmp_path):
    slow = [(0, 0, s, 10_000 + 50 * s, 10_003 + 50 * s, 10_100 + 50 * s) for s in range(1, 101)]
    assert status(made(tmp_path, slow, load={"late_ms_p99": 9.0})) == "ok"


def test_busy_is_by_process_and_by_core(tmp_path):
    two = [row for pid in (1, 2) for row in [(*busy("load", 0.6)[0][:3], pid, *busy("load", 0.6)[0][4:]),
                                             (*busy("load", 0.6)[1][:3], pid, *busy("load", 0.6)[1][4:])]]  # fmt: skip
    assert status(made(tmp_path, resources=two)) == "ok"


def test_idle_connections_need_no_deliveries(tmp_path):
    idle = {"settings": {"feed.rate_hz": 0.0}, "published": {}}
    assert status(made(tmp_path / "a", [], **idle)) == "ok"
    assert "no connections" in status(made(tmp_path / "b", [], connections=[], **idle))


@pytest.mark.parametrize(
    ("state", "why", "says"),
    [
        ("failed", "the server died", "failed: the server died"),
        ("skipped", "", "skipped: no reason was recorded"),
        ("pending", "", "skipped: the run ended before it"),
    ],
)
def test_what_was_not_measured(tmp_path, state, why, says):
    assert status(made(tmp_path, status=state, why=why)) == says


def test_done_without_a_window_has_failed(tmp_path):
    assert status(made(tmp_path, window=None)) == "failed: no measurement window was recorded"


def test_a_cell_is_as_good_as_its_worst_repeat(tmp_path):
    assert checks.together(["ok", "ok"], []) == "ok"
    assert checks.together(["ok", "invalid: x"], []) == "invalid: x (1 of 2 repeats)"
    assert checks.together(["invalid: x", "failed: y", "ok"], []) == "failed: y (2 of 3 repeats)"
    assert checks.together(["skipped: z", "skipped: z"], []) == "skipped: z"


def test_repeats_that_contradict_each_other(tmp_path):
    def repeat(name, latency_ms):
        rows = [
            (0, 0, s, 10_000 + 50 * s, 10_000 + 50 * s, 10_000 + 50 * s + latency_ms + s % 3) for s in range(1, 190)
        ]
        return measure(made(tmp_path / name, rows), pulls=False)

    assert checks.together(["ok", "ok"], [repeat("a", 10), repeat("b", 10)]) == "ok"
    found = checks.together(["ok", "ok"], [repeat("c", 10), repeat("d", 20)])
    assert found.startswith("invalid: repeats contradict each other: medians 11 and 21 ms")
    assert checks.together(["ok", "ok"], [repeat("e", 10), repeat("f", 20)], floor_ms=9.0) == found
    assert checks.together(["ok", "ok"], [repeat("g", 10), repeat("h", 20)], floor_ms=11.0) == "ok"


def test_caveats_say_what_was_seen_and_what_to_do(tmp_path):
    early = [(0, 0, 1, 11_000, 11_000, 10_999)]
    found = checks.cell_caveats(
        measure(
            made(tmp_path, early, resources=busy("server", 0.97), load={"failures": {"refused": 2}}, verify={}),
            pulls=False,
        )
    )
    seen = " | ".join(one.seen for one in found)
    for part in ("97% of a core", "2 x refused", "1 deliveries came before", "not verified"):
        assert part in seen
    assert all(one.remedy and one.where == "c (repeat 1)" for one in found)
    assert checks.cell_caveats(measure(made(tmp_path / "fine"), pulls=False)) == []


def test_caveats_of_a_run(tmp_path):
    shared = made(tmp_path, cpus={"server": [0], "load": [0]})
    run = Run(tmp_path, {"machine": {"load_average": [1.5, 1, 1]}}, (shared,))
    seen = " | ".join(one.seen for one in checks.run_caveats(run))
    for part in ("shared a core", "load average was 1.50", "cost was not measured"):
        assert part in seen
    calm = dataclasses.replace(shared, cpus={"server": [0], "load": [1]})
    assert checks.run_caveats(Run(tmp_path, {"floor": {"sse": {}}}, (calm,))) == []
