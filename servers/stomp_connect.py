"""CONNECT: which version is spoken, who may come in, and how often each side gives a sign of life (STOMP 1.2).

The rule: all of it is decided by one frame, and nothing is remembered of a client that is refused. ``host`` may be
anything, for there is one virtual host here. 1.1 and 1.2 want it from clients; it is asked of 1.2 alone, because
widespread clients leave it out in 1.1 (stomp.py does) and nothing depends on it.
"""

from __future__ import annotations

import hmac
import itertools
import re
from dataclasses import dataclass

from servers.stomp_frames import V10, V12, VERSIONS, Frame, ProtocolError
from servers.stomp_subscriptions import required

SERVER = "pushbench"

_HEART_BEAT = re.compile(r"([0-9]{1,9}),([0-9]{1,9})")
_sessions = itertools.count(1)

Login = tuple[str, str]  # login, passcode


@dataclass(frozen=True, slots=True)
class Agreement:
    """What CONNECT led to: intervals of the heart-beats in ms, 0 for none, and the headers of CONNECTED."""

    version: str
    send_ms: int
    expect_ms: int
    answer: dict[str, str]


def agree(frame: Frame, heartbeat_ms: int, login: Login | None) -> Agreement:
    """Agree with a CONNECT or STOMP frame, or raise the ProtocolError that refuses it.

    ``heartbeat_ms`` is how often we can send and want to hear; ``login`` is what a client must know, if anything.
    """
    version = _version(frame)
    if version == V10:  # its values may be padded, and which version it is only this frame says
        frame = Frame(frame.command, {name: value.strip(" ") for name, value in frame.headers.items()})
    elif version == V12:
        required(frame, "host")
    theirs = _HEART_BEAT.fullmatch(text := frame.headers.get("heart-beat", "0,0"))
    if theirs is None:
        raise ProtocolError(f"heart-beat is {text[:32]!r}, expected two numbers of ms, like 0,0")
    if login is not None:
        _check_login(frame, login)
    # "there will be heart-beats every MAX(cx, sy) milliseconds", and none in a direction where either is 0.
    expect_ms, send_ms = (max(int(number), heartbeat_ms) if int(number) else 0 for number in theirs.groups())
    answer = {
        "version": version,
        "session": f"session-{next(_sessions)}",
        "server": SERVER,
        "heart-beat": f"{heartbeat_ms},{heartbeat_ms}",
    }
    return Agreement(version, send_ms, expect_ms, answer)


def _version(frame: Frame) -> str:
    """Return "the highest protocol version that both the client and server have in common"."""
    # "If the accept-version header is missing, it means that the client only supports version 1.0."
    offered = [name.strip(" ") for name in frame.headers.get("accept-version", V10).split(",")]
    version = next((name for name in VERSIONS if name in offered), None)
    if version is None:
        ours = ",".join(reversed(VERSIONS))
        raise ProtocolError(f"accept-version is {','.join(offered)[:64]!r}, expected one of {ours}", {"version": ours})
    return version


def _check_login(frame: Frame, login: Login) -> None:
    """Compare both in constant time, so that the time of a refusal tells nothing."""
    theirs = (frame.headers.get("login", ""), frame.headers.get("passcode", ""))
    same = [hmac.compare_digest(said.encode(), known.encode()) for said, known in zip(theirs, login, strict=True)]
    if not all(same):
        raise ProtocolError(f"{frame.command} without the right login and passcode", reason="unauthorized")
