"""Fuzz the broker's conversation: whatever is said and however time passes, it answers or ends, and never raises."""

import asyncio

from fuzzing import expand, instrumented, main, pieces

with instrumented():
    from servers.feed import Topic
    from servers.outlet import Outlet
    from servers.site import Counters
    from servers.stomp_frames import Decoder
    from servers.stomp_session import Carrier, Session

from tests.servers.fakes import Clock, Transport, make_site

WORDS = [
    b"SEND\n", b"SUBSCRIBE\n", b"UNSUBSCRIBE\n", b"ACK\n", b"NACK\n", b"BEGIN\n", b"COMMIT\n", b"ABORT\n",
    b"DISCONNECT\n", b"CONNECT\naccept-version:1.2\nhost:h\nheart-beat:1,1\n\n\0", b"destination:/topic/own\n",
    b"destination:/topic/t0\n", b"destination:/topic/new\n", b"id:0\n", b"id:1\n", b"transaction:t\n", b"ack:client\n",
    b"ack:client-individual\n", b"after:0\n", b"after:2\n", b"id:4/0\n", b"id:5/0\n", b"message-id:own-4\n",
    b"subscription:0\n", b"receipt:r\n", b"u:v\n", b"\n\0", b"\nbody\0", b"content-length:4\n", b"\xff", b"\\c", b"\\x",
]  # fmt: skip
SEEDS = [
    b"\3\x20\x81\x8d\x8a\x91\x92\x98\x9a\x80\x8a\x99\x9b\x83\x94\x98\x9a\x88\x98\x9a",
    b"\2\x10\x85\x8f\x9a\x80\x8a\x8f\x9b\x83\x96\x97\x8f\x9a\x86\x8f\x9a",
    b"\1\x07\x81\x8a\x90\x9a\x80\x8a\x9b\x83\x96\x9a\x82\x8a\x9a",
    b"\0\x30\x89\x81\x8d\x8a\x9a\x89",
]
CONNECTS = [b"", *(b"CONNECT\naccept-version:%b\nhost:h\n\n\0" % version for version in (b"1.0", b"1.1", b"1.2"))]
SITE = make_site(Clock(), heartbeat_s=10, handshake_s=20, request_s=20, subscriptions=3, publish_bytes=100)


async def converse(data: bytes) -> None:
    """The first byte says how to connect, the second where to cut; between the pieces time passes."""
    first, size = (data[:2] + b"\3\x20")[:2]
    clock, transport, hung_up = Clock(), Transport(), []
    site = SITE
    site.counters, site.feed.clock = Counters(), clock
    site.feed.topics = {"t0": Topic("t0", 10, scheduled=True)}

    def hang_up(reason: str) -> None:
        hung_up.append(reason)
        transport.write_eof()

    for number in range(3):
        site.feed.publish("own", f"data {number}")
    pauses = transport.pause_reading, transport.resume_reading
    session = Session(site, Carrier(Outlet(site, transport), "tcp", bytes, hang_up, *pauses))
    for piece in [CONNECTS[first % 4], *pieces(expand(data[2:], WORDS), [size, size % 7, 200])]:
        session.receive(piece)
        await asyncio.sleep(0)  # a replay goes on
        session.sweep(clock.pass_s(3))
    commands = [frame.command for frame in Decoder(version=session._decoder.version).feed(transport.written)]
    assert set(commands) <= {"CONNECTED", "MESSAGE", "RECEIPT", "ERROR"}
    assert commands.count("CONNECTED") <= 1
    assert "ERROR" not in commands[:-1]
    assert site.counters.drops.total() == (commands[-1:] == ["ERROR"]) + (transport.ended[:1] == ["abort"])
    assert hung_up == [] or (len(hung_up) == 1 and session.ended)
    session.end()
    written = transport.written
    site.feed.publish("own", "late")
    await asyncio.sleep(0)
    assert transport.written == written


def check(data: bytes) -> None:
    """Any bytes."""
    _RUNNER.run(converse(data))


_RUNNER = asyncio.Runner()

if __name__ == "__main__":
    main(check, SEEDS)
