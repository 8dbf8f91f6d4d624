import pytest

from servers import options


def test_defaults():
    settings = options.parse(["polling"])
    assert (settings.host, settings.port, settings.control) == ("127.0.0.1", 8080, False)
    feed = options.feed_settings(settings)
    assert (feed.topics, feed.schedule.kind, feed.schedule.rate_hz, feed.payload_bytes) == (1, "poisson", 1.0, 256)
    assert list(settings.modules) == ["polling"]


@pytest.mark.parametrize(("topics", "held"), [(1, 10_000), (100, 1000), (1000, 256)])
def test_the_log_is_shared_out(topics, held):
    assert options.feed_settings(options.parse(["polling", "--topics", str(topics)])).log_events == held


def test_all_is_every_transport_once():
    settings = options.parse(["all", "polling"])
    assert {"polling", "long_polling", "sse"} <= set(settings.modules)
    assert list(settings.modules).count("polling") == 1


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["nope"], "transport 'nope', expected all or some of:"),
        (["feed"], "transport 'feed'"),
        (["__main__"], "transport '__main__'"),
        (["../x"], "transport '../x'"),
        (["polling", "--rate", "0"], "--rate: '0', expected events per second"),
        (["polling", "--rate", "nan"], "--rate: 'nan'"),
        (["polling", "--topics", "1.5"], "--topics: '1.5', expected a whole number from 1"),
        (["polling", "--port", "65536"], "--port: '65536', expected a whole number from 0 to 65535"),
        (["polling", "--payload-bytes", "19"], "--payload-bytes: '19', expected a whole number from 20"),
        (["polling", "--schedule", "sometimes"], "--schedule"),
        (["polling", "--schedule", "trace"], "--schedule trace and --trace FILE, expected both or neither"),
        (["polling", "--stop-ns", "5"], "--stop-ns 5, expected more than --epoch-ns None"),
        (["polling", "--epoch-ns", "5", "--stop-ns", "5"], "--stop-ns 5, expected more than --epoch-ns 5"),
        (["polling", "--trace", "x.csv"], "expected both or neither"),
        (["polling", "--schedule", "trace", "--trace", "/nowhere.csv"], "/nowhere.csv"),
        (["polling", "--such-a-flag"], "unrecognized arguments: --such-a-flag"),
        (["polling", "--allow-origin", "*"], "--allow-origin: '*', expected http://HOST[:PORT]"),
        ([], "TRANSPORT"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(capsys, argv, message):
    with pytest.raises(SystemExit) as caught:
        options.parse(argv)
    error = capsys.readouterr().err
    assert caught.value.code == 2
    assert message in error
    assert error.count("\n") == 1


def test_help_ends_in_two_runnable_examples(capsys):
    with pytest.raises(SystemExit) as caught:
        options.parse(["--help"])
    assert caught.value.code == 0
    examples = capsys.readouterr().out.split("examples:\n")[1].strip().splitlines()
    assert len(examples) == 2
    for line in examples:
        _, _, module, *argv = line.split()
        assert module == "servers"
        assert options.parse(argv).modules


def test_trace(tmp_path):
    path = tmp_path / "trace.csv"
    path.write_text("0\n1\n")
    settings = options.parse(["polling", "--schedule", "trace", "--trace", str(path)])
    assert options.feed_settings(settings).schedule.rate_hz == 1.0


class Resource:
    RLIMIT_NOFILE, RLIM_INFINITY = 7, -1

    def __init__(self, soft, hard):
        self.limit = (soft, hard)

    def getrlimit(self, _):
        return self.limit

    def setrlimit(self, _, limit):
        self.limit = limit


@pytest.mark.parametrize(("hard", "connections"), [(4096, 4000), (1_000_000, 15_000), (-1, 15_000), (50, 1)])
def test_there_are_no_more_connections_than_open_files(monkeypatch, hard, connections):
    monkeypatch.setattr(options, "resource", Resource(16, hard))
    options.raise_descriptors()
    assert options.limits(options.parse(["polling"])).connections == connections


def test_a_system_without_such_a_limit(monkeypatch):
    monkeypatch.setattr(options, "resource", None)
    options.raise_descriptors()
    assert options.limits(options.parse(["polling"])).connections == 15_000
