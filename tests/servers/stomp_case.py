"""A STOMP conversation over nothing, for the tests of what is said in it: bytes in, frames out, time by hand."""

from servers.outlet import Outlet
from servers.stomp_frames import Decoder, Frame
from servers.stomp_session import Carrier, Session
from tests.servers.fakes import Clock, Transport, make_site

HEARTBEAT_S = 10.0


class Case:
    """A session over nothing, connected unless told otherwise; ``own`` is a topic with three events."""

    def __init__(
        self,
        version: str | None = "1.2",
        beats: str = "0,0",
        clock: Clock | None = None,
        login: tuple[str, str] | None = None,
        **limits,
    ) -> None:
        self.clock = clock or Clock()
        self.site = make_site(self.clock, heartbeat_s=HEARTBEAT_S, **limits)
        self.site.options.login = login
        self.transport = Transport()
        self.hung_up: list[str] = []
        transport = self.transport
        pauses = transport.pause_reading, transport.resume_reading
        carrier = Carrier(Outlet(self.site, transport), "tcp", bytes, self.hung_up.append, *pauses)
        self.session = Session(self.site, carrier)
        self.publish(3)
        if version is not None:
            (answer,) = self.say("CONNECT", **{"accept-version": version, "host": "test", "heart-beat": beats})
            assert answer.command == "CONNECTED"

    def publish(self, count: int, topic: str = "own") -> None:
        for number in range(count):
            self.site.feed.publish(topic, f"data {number}")

    def heard(self) -> list[Frame]:
        return list(Decoder(version=self.session._decoder.version).feed(self.transport.take()))

    def say(self, command: str, body: bytes = b"", **headers: str) -> list[Frame]:
        lines = [command, *(f"{name.replace('_', '-')}:{value}" for name, value in headers.items()), "", ""]
        return self.raw("\n".join(lines).encode() + body + b"\0")

    def raw(self, data: bytes) -> list[Frame]:
        self.session.receive(data)
        return self.heard()

    def sweep(self, seconds: float) -> bytes:
        self.session.sweep(self.clock.pass_s(seconds))
        return self.transport.take()

    def mistake(self, command: str, body: bytes = b"", **headers: str) -> Frame:
        """Say something wrong; the ERROR that must be the answer."""
        return self.over(self.say(command, body, receipt="r", **headers), receipt="r")

    def over(self, answers: list[Frame], reason: str | None = None, receipt: str | None = None) -> Frame:
        """Check that ``answers`` is one ERROR and that all is over; returns it."""
        (answer,) = answers
        assert answer.command == "ERROR"
        assert answer.headers.get("receipt-id") == receipt
        assert answer.headers["message"]
        assert answer.headers["content-type"] == "text/plain"
        assert answer.headers["content-length"] == str(len(answer.body))
        assert answer.body.decode().strip() == answer.headers["message"]
        assert len(self.hung_up) == 1
        assert self.site.counters.drops == {reason or self.hung_up[0]: 1}
        assert self.say("SEND", b"x", destination="/topic/own", receipt="late") == []
        self.publish(1)
        assert self.heard() == []
        return answer


def seqs(frames: list[Frame]) -> list[str]:
    assert all(frame.command == "MESSAGE" for frame in frames)
    return [frame.headers["message-id"] for frame in frames]
