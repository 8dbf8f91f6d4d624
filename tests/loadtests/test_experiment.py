"""An experiment file: what it becomes, and the one line it gets when it is wrong."""

from __future__ import annotations

import pytest

from loadtests import experiment
from loadtests.grid import cells
from loadtests.settings import InputError

PLAIN = """# What does it cost?
# And what does it buy?
title = "T"
transports = ["polling", "sse"]
repeats = 2

[feed]
rate_hz = [1, 2.5]

[polling]
interval_s = 0.5

[expect]
delivery_ms_p99 = "<= 50"

[full]
repeats = 5
load.subscribers = 300

[smoke]
transports = ["sse"]
"""


def write(tmp_path, text, name="plain.toml"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_becomes_its_values_with_lists_as_axes(tmp_path):
    one = experiment.read(write(tmp_path, PLAIN))
    assert (one.name, one.title, one.repeats, one.seed) == ("plain", "T", 2, 1)
    assert one.question == "What does it cost? And what does it buy?"
    assert one.transports == ("polling", "sse")
    assert one.values["feed.rate_hz"] == (1.0, 2.5)
    assert one.values["polling.interval_s"] == (0.5,)
    assert one.values["load.subscribers"] == (50,)
    assert one.axes == ("feed.rate_hz",)
    assert one.expect == {"delivery_ms_p99": "<= 50"}
    assert one.source == PLAIN
    assert "server.heartbeat_s" not in one.values, "what is not set is the server's own affair"


def test_a_suites_table_overrides_and_set_overrides_that(tmp_path):
    path = write(tmp_path, PLAIN)
    full = experiment.read(path, suite="full")
    assert (full.repeats, full.values["load.subscribers"]) == (5, (300,))
    assert full.values["feed.rate_hz"] == (1.0, 2.5)
    assert experiment.read(path, suite="smoke").transports == ("sse",)
    given = experiment.read(
        path, suite="full", assignments=["load.subscribers=[1, 2]", "feed.topics=per_subscriber", "repeats=1"]
    )
    assert given.values["load.subscribers"] == (1, 2)
    assert given.values["feed.topics"] == ("per_subscriber",)
    assert given.repeats == 1
    assert "load.subscribers" in given.axes


def test_an_expectation_may_be_of_one_transport(tmp_path):
    text = PLAIN.replace('p99 = "<= 50"', 'p99 = "<= 50"\n[expect.sse]\nlost = "== 0"')
    assert experiment.read(write(tmp_path, text)).expect == {"delivery_ms_p99": "<= 50", "sse.lost": "== 0"}
    one = experiment.read(write(tmp_path, text))
    assert experiment.only(one, ["polling"]).expect == {"delivery_ms_p99": "<= 50"}
    assert experiment.only(one, ["sse"]).expect == one.expect
    with pytest.raises(InputError, match=r"plain.toml: expect.ss is not a key that exists; did you mean sse?"):
        experiment.read(write(tmp_path, text.replace("expect.sse", "expect.ss")))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("[load]\nsubscribers = -5", "x.toml: load.subscribers = -5, expected a whole number of at least 1"),
        ("[load]\nsubscriber = 5", "x.toml: load.subscriber is not a key that exists; did you mean subscribers?"),
        ("[loud]\nx = 1", "x.toml: table loud is not a key that exists; did you mean load?"),
        ("repeat = 2", "x.toml: repeat is not a key that exists; did you mean repeats?"),
        ("repeats = 0", "x.toml: repeats = 0, expected a whole number of at least 1"),
        ("[feed]\nrate_hz = []", "x.toml: feed.rate_hz = [], expected at least one value; remove the key to get"),
        ("[feed]\nrate_hz = [1, 1.0]", "x.toml: feed.rate_hz names a value twice"),
        ("[feed]\nrate_hz = [1, 'x']", "x.toml: feed.rate_hz = x, expected a number from 0 to 1000000"),
        ("[feed]\nschedule = 'trace'", "x.toml: feed.schedule = trace, expected feed.trace to name a CSV file"),
        ("feed = 3", "x.toml: feed = 3, expected a table: [feed]"),
        ("[websocket]\n", "x.toml: [websocket] applies to none of the transports"),
        ("[target]\nss = 'http://x'", "x.toml: target.ss is not a key that exists; did you mean sse?"),
        ("[expect]\nlost = 0", "x.toml: expect.lost = 0, expected text"),
        ("[feed\n", "x.toml: cannot be read as TOML: "),
    ],
)
def test_a_wrong_file_gets_one_line_that_names_file_key_value_and_expectation(tmp_path, change, message):
    with pytest.raises(InputError) as caught:
        experiment.read(write(tmp_path, f'transports = ["sse"]\n{change}', "x.toml"))
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("transports", "message"),
    [
        ("", "x.toml: transports is missing, expected a list of transports (polling, "),
        ('transports = "sse"', "x.toml: transports = sse, expected a list of transports"),
        ("transports = []", "x.toml: transports = [], expected a list of transports"),
        ('transports = ["sse", "websockets"]', "x.toml: transports names websockets, expected"),
    ],
)
def test_wrong_transports_are_refused(tmp_path, transports, message):
    with pytest.raises(InputError) as caught:
        experiment.read(write(tmp_path, transports, "x.toml"))
    assert str(caught.value).startswith(message)


def test_a_hold_beyond_the_servers_cap_is_a_contradiction(tmp_path):
    text = 'transports = ["long_polling"]\n[server]\nmax_hold_s = 5\n[long_polling]\nhold_s = [1, 10]'
    with pytest.raises(InputError, match=r"long_polling\.hold_s = 10 is beyond server\.max_hold_s = 5"):
        experiment.read(write(tmp_path, text))


@pytest.mark.parametrize("wrong", ["load.subscribers", "=1", ".x=1", "load.subscribers="])
def test_an_assignment_without_key_or_value_is_refused(wrong):
    with pytest.raises(InputError, match=r"expected KEY=VALUE"):
        experiment.assigned(wrong)


def test_a_wrong_override_is_refused_like_a_wrong_file(tmp_path):
    with pytest.raises(InputError, match=r"plain\.toml: load\.workers = 0, expected a whole number"):
        experiment.read(write(tmp_path, PLAIN), assignments=["load.workers=0"])


def test_transports_are_narrowed_in_the_experiments_order(tmp_path):
    one = experiment.read(write(tmp_path, PLAIN))
    assert experiment.only(one, ["sse", "polling"]).transports == ("polling", "sse")
    assert experiment.only(one, ["websocket"]).transports == ()
    with pytest.raises(InputError, match=r"--transports sses: no such transport; did you mean sse\?"):
        experiment.only(one, ["sses"])


def test_long_polling_has_a_reference_when_it_is_swept_and_not_otherwise(tmp_path):
    swept = 'transports = ["long_polling"]\n[long_polling]\nhold_s = [1, 2]'
    assert experiment.read(write(tmp_path, swept)).reference
    assert not experiment.read(write(tmp_path, "reference = false\n" + swept)).reference
    assert not experiment.read(write(tmp_path, 'transports = ["long_polling"]')).reference


def test_an_experiment_is_found_by_name_or_by_path(tmp_path):
    assert experiment.find("fan_out").name == "fan_out.toml"
    path = write(tmp_path, PLAIN)
    assert experiment.find(str(path)) == path
    with pytest.raises(InputError, match=r"fan_ou: no such experiment; did you mean fan_out\?"):
        experiment.find("fan_ou")
    with pytest.raises(InputError, match=r"no such file"):
        experiment.find(str(tmp_path / "none.toml"))


@pytest.mark.parametrize("suite", experiment.SUITES)
def test_the_experiments_that_come_with_the_program_can_be_read_in_every_suite(suite):
    names = experiment.in_suite(suite)
    assert names, suite
    for name in names:
        one = experiment.read(experiment.find(name), suite=suite)
        assert one.question.endswith("?"), "an experiment is a question"


def test_the_default_suite_is_every_experiment_that_does_not_say_otherwise():
    asked_for = set(experiment.available()) - set(experiment.in_suite("default"))
    assert asked_for == {"adaptive_polling", "latest_state", "one_at_a_time", "upstream"}
    assert "upstream" in experiment.in_suite("full")


def test_a_suite_is_a_table(tmp_path):
    assert experiment.read(write(tmp_path, f"default = false\n{PLAIN}")).repeats
    for wrong in ("default = true", "full = false", "smoke = 3"):
        with pytest.raises(InputError, match=r"wrong\.toml: \w+ = .*, expected a table: \[\w+\]"):
            experiment.read(write(tmp_path, f'{wrong}\ntransports = ["sse"]', "wrong.toml"), suite=wrong.split()[0])


OWN = 'transports = ["sse", "stomp_tcp"]\n[feed]\npublisher = "subscribers"\ntopics = "per_subscriber"\n'


def test_ways_to_publish_are_axes_of_the_transports_that_have_them(tmp_path):
    text = f"{OWN}[upstream]\nkeep_alive = [true, false]\nreceipt = [true, false]\n"
    names = [cell.name for cell in cells(experiment.read(write(tmp_path, text)))]
    assert sorted(names) == [
        "sse/upstream.keep_alive=false",
        "sse/upstream.keep_alive=true",
        "stomp_tcp/upstream.receipt=false",
        "stomp_tcp/upstream.receipt=true",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{PLAIN}[upstream]\nreceipt = true", "upstream.receipt: nobody publishes upstream; set feed.publisher"),
        (OWN.replace('"per_subscriber"', "3"), 'feed.topics = 3, expected "per_subscriber" where feed.publisher'),
        (f'{OWN}schedule = "bursty"', 'feed.schedule = bursty, expected "constant" or "poisson" where'),
        (f'{OWN}payload = "random"', 'feed.payload = random, expected "text" where'),
        (f"{OWN}rate_hz = 0", "feed.rate_hz = 0, expected more than 0 where"),
        (OWN.replace('"subscribers"', '["server", "subscribers"]'), "feed.publisher names both; make two experiments"),
        (OWN.replace('"subscribers"', '"nobody"'), 'feed.publisher = nobody, expected "server" or "subscribers"'),
    ],
)
def test_what_subscribers_cannot_publish_is_refused(tmp_path, text, message):
    with pytest.raises(InputError) as caught:
        experiment.read(write(tmp_path, text, "x.toml"))
    assert str(caught.value).startswith(f"x.toml: {message}")


ALSO = """transports = ["sse", "websocket"]
tls = "off"
[load]
subscribers = [10, 100]
[[also]]
tls = 1.3
load.subscribers = 100
[smoke]
also = []
"""


def test_tls_is_a_key_at_the_top_and_may_be_an_axis(tmp_path):
    path = write(tmp_path, 'transports = ["sse"]\ntls = [false, 1.2, true]')
    assert experiment.read(path).values["tls"] == ("off", "1.2", "1.3")
    assert experiment.read(path).axes == ("tls",)
    one = experiment.read(path, assignments=["tls=1.3"])
    assert (one.values["tls"], one.axes) == (("1.3",), ())
    with pytest.raises(InputError, match=r'plain\.toml: tls = 1\.1, expected "off" or "1\.2" or "1\.3"'):
        experiment.read(path, assignments=["tls=1.1"])


def test_what_is_measured_also_is_the_experiment_with_keys_replaced(tmp_path):
    one = experiment.read(write(tmp_path, ALSO))
    assert one.axes == ("load.subscribers", "tls"), "a key in which a grid differs is an axis"
    (beside,) = one.also
    assert beside.transports == ("sse", "websocket")
    assert (beside.values["tls"], beside.values["load.subscribers"]) == (("1.3",), (100,))
    assert one.on_axis("tls") == ("off", "1.3")
    assert one.on_axis("load.subscribers") == (10, 100)


def test_an_override_holds_beside_the_grid_too(tmp_path):
    path = write(tmp_path, ALSO)
    assert experiment.read(path, suite="smoke").also == ()
    assert experiment.read(path, assignments=["also=[]"]).axes == ("load.subscribers",)
    (beside,) = experiment.read(path, assignments=["load.subscribers=7", "repeats=2", "seed=3"]).also
    assert beside.values["load.subscribers"] == (7,)
    (beside,) = experiment.only(experiment.read(path), ["sse"]).also
    assert beside.transports == ("sse",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("also = 3", "x.toml: also = 3, expected tables: [[also]]"),
        ("[[also]]\nrepeats = 2", "x.toml: repeats is not a key that exists"),
        ("[[also]]\nexpect.lost = '== 0'", "x.toml: table expect is not a key that exists"),
        ("[[also]]\nload.subscribers = 0", "x.toml: load.subscribers = 0, expected a whole number of at least 1"),
        ("load = 3", "x.toml: load = 3, expected a table: [load]"),
        ("expect = 3", "x.toml: expect = 3, expected a table: [expect]"),
        ("[load]\ntoken_file = 'none'", "x.toml: load.token_file = "),
    ],
)
def test_a_mistake_beside_the_grid_is_one_line_too(tmp_path, text, message):
    with pytest.raises(InputError) as caught:
        experiment.read(write(tmp_path, f'transports = ["sse"]\n{text}', "x.toml"))
    assert str(caught.value).startswith(message)


def test_a_file_is_named_from_where_its_name_is_written(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    (tmp_path / "token").write_text("t")
    (tmp_path / "here" / "other").write_text("t")
    path = write(tmp_path, 'transports = ["sse"]\n[load]\ntoken_file = "token"')
    monkeypatch.chdir(tmp_path / "here")
    assert experiment.read(path).values["load.token_file"] == (str(tmp_path / "token"),)
    assert experiment.read(path, assignments=["load.token_file=other"]).values["load.token_file"] == ("other",)


def test_what_a_tuner_was_asked_and_recommends_is_kept_and_changes_nothing(tmp_path):
    table = "\n[tuned]\nrate_hz = 0.5\np95_s = 2\ninterval_s = 2.1\n"
    one, plain = (experiment.read(write(tmp_path, PLAIN + text)) for text in (table, ""))
    assert one.tuned == {
        "rate_hz": 0.5, "p95_s": 2.0, "scale": 1.0, "transit_s": 0.0, "round_trip_s": 0.0, "interval_s": 2.1,
    }  # fmt: skip
    assert plain.tuned == {}
    assert cells(one) == cells(plain)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[tuned]\n", "x.toml: tuned.rate_hz is missing, expected a number from 1e-09 to 1000000"),
        ("[tuned]\nrate_hz = 1", "x.toml: tuned.p95_s is missing, expected a number from 1e-06 to 1000000000"),
        ("[tuned]\nrate_hz = 1\np95_s = -1", "x.toml: tuned.p95_s = -1, expected a number from 1e-06 to"),
        ("[tuned]\nrate = 1", "x.toml: tuned.rate is not a key that exists; did you mean rate_hz?"),
        ("tuned = 3", "x.toml: tuned = 3, expected a table: [tuned]"),
    ],
)
def test_a_mistaken_table_of_the_tuners_is_one_line(tmp_path, text, message):
    with pytest.raises(InputError) as caught:
        experiment.read(write(tmp_path, f'transports = ["sse"]\n{text}', "x.toml"))
    assert str(caught.value).startswith(message)
