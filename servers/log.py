"""What the server logs, so that nothing of a request can pass for a line of ours or steer a terminal.

The rule: a record may have many lines, for a traceback has, but only its first begins at the margin; the others are
marked. Whatever is not printable is escaped, line ends of any other kind, terminal sequences, text-direction marks and
lone surrogates among it, and a record has a greatest length (CWE-117; the log of an attack must not fill the disk).
"""

from __future__ import annotations

import logging
import sys

MOST_CHARS = 8000
MARGIN = "    | "


def escaped(text: str) -> str:
    """Return ``text`` with everything escaped that is not printable, line ends included."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


class Formatter(logging.Formatter):
    """Level, message and traceback, escaped."""

    def __init__(self) -> None:
        super().__init__("%(levelname)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's lines."""
        text = super().format(record)
        if len(text) > MOST_CHARS:
            text = f"{text[: MOST_CHARS // 2]}\n… {len(text) - MOST_CHARS} characters …\n{text[-MOST_CHARS // 2 :]}"
        return f"\n{MARGIN}".join(escaped(line) for line in text.split("\n"))


def install() -> None:
    """Let everything that logs, asyncio and aiohttp included, write to standard error in that way."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Formatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
