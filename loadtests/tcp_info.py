"""The kernel's own count of a connection's bytes and segments: Linux's ``TCP_INFO`` (tcp(7), linux/tcp.h).

TLS, framing and retransmission bookkeeping cannot hide from it. It counts the SYN in ``bytes_acked`` and the FIN in
``bytes_received``, one byte too many each, which is taken off here.
"""

from __future__ import annotations

import struct
import sys
from typing import Any

_IPPROTO_TCP, _TCP_INFO = 6, 11
_LENGTH = 232
_SILENCE = struct.Struct("@I")  # tcpi_last_data_recv at 52, in ms
_STATE_CLOSE_WAIT = 8  # the peer's FIN has been received
# linux/tcp.h, struct tcp_info: tcpi_state at 0; bytes_acked, bytes_received at 120; segs_out, segs_in at 136.
_COUNTS = struct.Struct("@B119xQQII")


def read(sock: Any) -> tuple[int, int, int, int] | None:
    """Bytes up and down, segments up and down of a connected socket; None where the kernel does not say."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        return parse(sock.getsockopt(_IPPROTO_TCP, _TCP_INFO, _LENGTH))
    except OSError:
        return None


def silent_ms(sock: Any) -> int | None:
    """How long ago data last came, in ms; None where the kernel does not say."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        found: tuple[int] = _SILENCE.unpack_from(sock.getsockopt(_IPPROTO_TCP, _TCP_INFO, _LENGTH), 52)
    except (OSError, struct.error):
        return None
    return found[0]


def parse(info: bytes) -> tuple[int, int, int, int] | None:
    """The counts in a ``struct tcp_info``; None when the kernel is too old to have them (before 4.2)."""
    if len(info) < _COUNTS.size:
        return None
    state, acked, received, segments_out, segments_in = _COUNTS.unpack_from(info)
    finished = state == _STATE_CLOSE_WAIT and received > 0
    return max(0, acked - 1), received - finished, segments_out, segments_in
