"""A second opinion: stomp.py, a client that others wrote, talks to our broker in every version of the protocol."""

import queue

import pytest

from tests.servers.hostile.rig import server

stomp = pytest.importorskip("stomp", reason="needs stomp.py (pip install stomp.py)")

PATIENCE_S = 10
TOPIC = "/topic/own"


class Ear(stomp.ConnectionListener):
    """Keeps what is heard: (kind, headers, body)."""

    def __init__(self) -> None:
        self.heard: queue.Queue[tuple[str, dict[str, str], str]] = queue.Queue()

    def on_message(self, frame) -> None:
        self.heard.put(("MESSAGE", frame.headers, frame.body))

    def on_receipt(self, frame) -> None:
        self.heard.put(("RECEIPT", frame.headers, frame.body))

    def on_error(self, frame) -> None:
        self.heard.put(("ERROR", frame.headers, frame.body))

    def on_disconnected(self) -> None:
        self.heard.put(("gone", {}, ""))

    def next(self, *kinds: str) -> tuple[str, dict[str, str], str]:
        kind, headers, body = self.heard.get(timeout=PATIENCE_S)
        assert kind in kinds, (kind, headers, body)
        return kind, headers, body

    def message(self) -> dict[str, str]:
        return self.next("MESSAGE")[1]

    def receipt(self, name: str) -> None:
        assert self.next("RECEIPT")[1]["receipt-id"] == name


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    login = tmp_path_factory.mktemp("login") / "login"
    login.write_text("user:pass:code")
    with server(
        "stomp_tcp", "--login-file", str(login), "--handshake", "10", "--request", "10", "--heartbeat", "0.5"
    ) as it:
        yield it


def dial(running, version: str, **options):
    make = {"1.0": stomp.Connection10, "1.1": stomp.Connection11, "1.2": stomp.Connection12}[version]
    connection = make([running.ports["tcp"]], **options)
    ear = Ear()
    connection.set_listener("ear", ear)
    return connection, ear


@pytest.fixture(params=["1.0", "1.1", "1.2"])
def peer(running, request):
    connection, ear = dial(running, request.param)
    connection.connect("user", "pass:code", wait=True)
    yield request.param, connection, ear
    if connection.is_connected():
        connection.disconnect()


def acknowledge(version: str, verb, headers: dict[str, str]) -> None:
    if version == "1.2":
        verb(headers["ack"])
    elif version == "1.1":
        verb(headers["message-id"], headers["subscription"])
    else:
        verb(headers["message-id"])


def test_subscribe_send_receipt_and_unsubscribe(peer):
    _, connection, ear = peer
    connection.send(TOPIC, "first")
    connection.subscribe(TOPIC, id="a:1", receipt="subscribed")
    ear.receipt("subscribed")
    body = "Grüße\n\0 zurück"
    connection.send(TOPIC, body, headers={"x-own": "ä: b", "receipt": "sent"}, content_type="text/plain")
    _, headers, event = ear.next("MESSAGE")
    assert headers["destination"] == TOPIC
    assert headers["subscription"] == "a:1"
    assert headers["x-own"] == "ä: b"
    assert "Grüße\\n\\u0000 zurück" in event
    ear.receipt("sent")
    connection.unsubscribe(id="a:1", receipt="unsubscribed")
    ear.receipt("unsubscribed")
    connection.send(TOPIC, "unheard", receipt="sent again")
    ear.receipt("sent again")


def test_acknowledgements(peer):
    version, connection, ear = peer
    connection.send(TOPIC, "first")
    mode = "client" if version == "1.0" else "client-individual"
    connection.subscribe(TOPIC, id="0", ack=mode, receipt="subscribed")
    ear.receipt("subscribed")
    for _ in range(2):
        connection.send(TOPIC, "x")
    messages = [ear.message() for _ in range(2)]
    acknowledge(version, connection.ack, messages[0])
    acknowledge(version, connection.ack if version == "1.0" else connection.nack, messages[1])
    connection.send(TOPIC, "y", receipt="still there")
    last = ear.message()
    ear.receipt("still there")
    acknowledge(version, connection.ack, last)
    acknowledge(version, connection.ack, last)
    assert "not waiting" in ear.next("ERROR")[2]
    ear.next("gone")


def test_transactions(peer):
    version, connection, ear = peer
    connection.send(TOPIC, "first")
    connection.subscribe(TOPIC, id="0", ack="client", receipt="subscribed")
    ear.receipt("subscribed")
    connection.send(TOPIC, "before")
    message = ear.message()
    for end in (connection.abort, connection.commit):
        name = connection.begin()
        connection.send(TOPIC, "inside", headers={"transaction": name})
        acknowledge(version, lambda *args, name=name: connection.ack(*args, transaction=name), message)
        end(transaction=name, receipt="over")
        if end == connection.commit:
            assert (
                int(ear.message()["message-id"].rpartition("-")[2]) == int(message["message-id"].rpartition("-")[2]) + 1
            )
        ear.receipt("over")


def test_disconnect_waits_for_its_receipt(peer):
    _, connection, ear = peer
    connection.disconnect(receipt="bye")
    assert {ear.next("RECEIPT", "gone")[0] for _ in range(2)} == {"RECEIPT", "gone"}  # it tells them in either order


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2"])
def test_the_wrong_passcode(running, version):
    connection, ear = dial(running, version)
    with pytest.raises(stomp.exception.ConnectFailedException):
        connection.connect("user", "wrong", wait=True)
    assert "login" in ear.next("ERROR")[2]


@pytest.mark.parametrize("version", ["1.1", "1.2"])
def test_heart_beats_both_ways_keep_it_alive(running, version):
    connection, ear = dial(running, version, heartbeats=(500, 500))
    connection.connect("user", "pass:code", wait=True)
    with pytest.raises(queue.Empty):
        ear.heard.get(timeout=2.5)  # nobody gives up: five intervals, and either side's margin is less
    assert connection.is_connected()
    connection.disconnect()
