"""Hostile clients of HTTP polling."""

from tests.servers.hostile import rig
from tests.servers.hostile.rig import Entry, status


def get(target: bytes, *lines: bytes) -> bytes:
    return b"\r\n".join((b"GET %b HTTP/1.1" % target, b"Host: localhost", *lines, b"", b""))


TABLE = (
    Entry("negative cursor", get(b"/poll/t0?after=-1"), status(400), "contract", closes=False),
    Entry("silence", b"", status(408), "RFC 9110, 15.5.9", counted="handshake_timeout"),
    Entry("half a request", b"GET /poll/t0 HT", status(408), "RFC 9110, 15.5.9", counted="handshake_timeout"),
)


def test_hostile_clients_of_polling():
    rig.run(TABLE, ["polling"], lambda: rig.Poller(b"/poll/t0?after=%d", 0.1))
