"""What the fuzzers of this folder share: one file per parser, ``check(data)`` its property, ``SEEDS`` where to begin.

``python tests/fuzz/fuzz_x.py -max_total_time=20`` lets atheris invent the data, guided by coverage (libFuzzer's
options; a file as argument repeats one input). ``test_fuzz.py`` gives the same property hypothesis' data, and atheris'
for a moment. Without atheris a fuzzer says so and does nothing.
"""

import contextlib
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # the programs, and what the tests of them share

try:
    import atheris
except ImportError:
    atheris = None


def instrumented() -> AbstractContextManager[None]:
    """What is imported in here is watched by atheris; when it is a test that imports the fuzzer, by nobody."""
    if atheris is None or Path(sys.argv[0]).resolve().parent != Path(__file__).resolve().parent:
        return contextlib.nullcontext()
    return atheris.instrument_imports(include=["servers", "loadtests"])


def expand(data: bytes, words: Sequence[bytes]) -> bytes:
    """Read bytes from 128 on as words of a protocol: so chance writes frames instead of noise."""
    return b"".join(data[at : at + 1] if byte < 128 else words[byte % len(words)] for at, byte in enumerate(data))


def spell(words: Sequence[bytes], *parts: bytes) -> bytes:
    """Return the data that ``expand`` reads as these parts, words or not."""
    number = {word: 128 + (at - 128) % len(words) for at, word in enumerate(words)}
    return b"".join(bytes([number[part]]) if part in number else part for part in parts)


def pieces(data: bytes, sizes: Sequence[int]) -> list[bytes]:
    """Cut data into pieces whose sizes come from ``sizes``, again and again."""
    cut, at = [], 0
    while at < len(data):
        size = sizes[len(cut) % len(sizes)] or 1
        cut.append(data[at : at + size])
        at += size
    return cut


def main(check: Callable[[bytes], object], seeds: Sequence[bytes]) -> None:
    """Run a fuzzer as a program."""
    if atheris is None:
        print("skipped: needs atheris (pip install atheris)")
        return
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(seeds):
            Path(corpus, str(number)).write_bytes(seed)
        alone = any(Path(word).is_file() for word in sys.argv[1:])
        atheris.Setup([*sys.argv, *([] if alone else [corpus])], check)
        atheris.Fuzz()
