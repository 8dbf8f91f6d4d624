r"""The JSON of an event, with ``data`` that checks itself; made from pieces that were escaped beforehand.

The rule: ``data`` is ``{"crc32":"XXXXXXXX"`` followed by a text that completes a JSON object, ``payload_bytes`` long
in UTF-8; the checksum is the CRC-32 of ``topic|seq|text`` (source: the wire contract, ``servers.__doc__``). Texts
come from a pool that is a pure function of the seed. The pool is larger than deflate's 32 KiB window: with fewer
texts a compressed WebSocket would find each event word for word in its history and look better than it is. Composing
a text takes 13 µs, stamping one from the pool half a microsecond (measured).
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable, Iterator
from zlib import crc32

HEAD_BYTES = len(b'{"crc32":"00000000"')
LEAST_BYTES = HEAD_BYTES + len(b"}")

_POOL_BYTES = 1 << 18  # eight deflate windows
_CITIES = ("Zürich", "Nairobi", "Osaka", "Montréal", "Lagos", "Tallinn", "Córdoba", "Chennai")
_NOTE_BYTES = len(',"note":""}')
_WORDS = ("order", "filled", "at", "the", "limit", "after a short delay", "in early trading", "volume", "rose")

Stamp = Callable[[int, int, int], bytes]


def _members(rng: random.Random) -> Iterator[str]:
    """Yield the members of a JSON object as one might push it to a dashboard."""
    yield f',"symbol":"{"".join(rng.choices("ABCDEFGHIKLMNOPRST", k=4))}"'
    yield f',"price":{rng.uniform(1, 999):.2f}'
    yield f',"change":{rng.uniform(-5, 5):.3f}'
    yield f',"volume":{rng.randrange(1, 100_000)}'
    yield f',"venue":"{rng.choice(_CITIES)}"'


def compose_text(rng: random.Random, size_bytes: int) -> str:
    """Return realistic, compressible JSON members and the closing brace: ``size_bytes`` of UTF-8, at least 1.

    As many members as fit, and a note as long as what is left; below the length of an empty note, JSON's white space.
    """
    room = size_bytes - _NOTE_BYTES
    if room < 0:
        return " " * (size_bytes - 1) + "}"
    parts: list[str] = []
    for part in _members(rng):
        length = len(part.encode())
        if length > room:
            break
        room -= length
        parts.append(part)
    note = " ".join(rng.choices(_WORDS, k=room))[:room]
    return f'{"".join(parts)},"note":"{note}"}}'


def random_text(rng: random.Random, size_bytes: int) -> str:
    """Return a note of random base64 and the closing brace: deflate gains a quarter at most (6 bits in 8)."""
    room = size_bytes - _NOTE_BYTES
    if room < 0:
        return compose_text(rng, size_bytes)
    return f',"note":"{base64.b64encode(rng.randbytes(room)).decode()[:room]}"}}'


TEXTS: dict[str, Callable[[random.Random, int], str]] = {"text": compose_text, "random": random_text}


def escape(text: str) -> bytes:
    """Return ``text`` as the inside of a JSON string, in UTF-8."""
    return json.dumps(text, ensure_ascii=False)[1:-1].encode()


def event_head(topic: str) -> bytes:
    """Return the JSON of an event up to its seq; a topic's name needs no escaping (contract)."""
    return b'{"topic": "%b", "seq": ' % topic.encode()


def plain_event(head: bytes, seq: int, due_ns: int, sent_ns: int, data: str) -> bytes:
    """Return the JSON of a published event: ``data`` is what was published, and carries no checksum of ours."""
    return b'%b%d, "due_ns": %d, "sent_ns": %d, "data": "%b"}' % (head, seq, due_ns, sent_ns, escape(data))


class Payload:
    """The pool of texts; ``stamp(topic)`` gives each scheduled topic its encoder.

    ``kind`` is a key of TEXTS; ``payload_bytes`` is the length of ``data``, LEAST_BYTES or more.
    """

    __slots__ = ("_pool",)

    def __init__(self, kind: str, payload_bytes: int, seed: int) -> None:
        rng = random.Random(f"{seed}/{kind}/{payload_bytes}")
        size_bytes = payload_bytes - HEAD_BYTES
        number = min(1024, max(16, _POOL_BYTES // payload_bytes))
        texts = (TEXTS[kind](rng, size_bytes) for _ in range(number))
        self._pool = tuple((text.encode(), escape(text)) for text in texts)

    def stamp(self, topic: str) -> Stamp:
        """Return ``encode(seq, due_ns, sent_ns) -> the event's JSON``; topics start at different places of the pool."""
        pool, size = self._pool, len(self._pool)
        name, head = topic.encode(), event_head(topic)
        start = crc32(name)
        check = crc32

        def encode(seq: int, due_ns: int, sent_ns: int) -> bytes:
            text, escaped = pool[(start + seq) % size]
            checksum = check(text, check(b"%b|%d|" % (name, seq)))
            return b'%b%d, "due_ns": %d, "sent_ns": %d, "data": "{\\"crc32\\":\\"%08x\\"%b"}' % (
                head, seq, due_ns, sent_ns, checksum, escaped,
            )  # fmt: skip

        return encode
