"""A polling policy with its settings in few words: ``every 1 s``, ``back-off 0.87 to 2.2 s``, ``learned rate …``.

The rule it keeps: a policy is told by what it heeds. An experiment that runs several gives a cell the settings of all
of them; those of the others are defaults that nobody reads, and are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis.prose import plain

POLICY, INTERVAL = "polling.policy", "polling.interval_s"
# Policy: its name, with its pauses where they are known, and what else it heeds.
_WORDS: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "fixed_rate": ("fixed interval", "every {interval} s", ()),
    "fixed_delay": ("fixed pause", "{interval} s behind each answer", ()),
    "jittered": ("jittered", "every {interval} s, jittered", ("polling.jitter",)),
    "backoff": ("back-off", "back-off {interval} to {longest} s", ("polling.factor",)),
    "learning": ("learned rate", "learned rate {interval} to {longest} s", ("polling.expected", "polling.memory_s")),
}
_HEEDED = {
    "polling.jitter": "± {:.0%}", "polling.factor": "factor {:g}", "polling.expected": "{:g} expected",
    "polling.memory_s": "memory {:g} s",
}  # fmt: skip
SETTINGS = frozenset((POLICY, INTERVAL, "polling.longest_s", *_HEEDED))
"""Settings that speak of a policy, and are told by ``told``."""


def name(policy: str) -> str:
    """The policy alone: ``back-off``; an unknown one by its own name."""
    return _WORDS[policy][0] if policy in _WORDS else policy.replace("_", " ")


def told(settings: Mapping[str, Any], *, pauses: bool = True) -> str:
    """The policy of ``settings`` (values as numbers or text); ``pauses``: with its interval, where that is known."""
    policy = str(settings[POLICY])
    if policy not in _WORDS:
        return name(policy)
    short, long, heeds = _WORDS[policy]
    known = {key: _number(settings.get(key)) for key in SETTINGS}
    interval, longest = known[INTERVAL], known["polling.longest_s"]
    whole = pauses and interval is not None and (longest is not None or "{longest}" not in long)
    head = long.format(interval=plain(interval), longest=plain(longest)) if whole else short
    if not pauses and longest is not None and "{longest}" in long:
        head += f" up to {plain(longest)} s"
    return ", ".join([head, *(_HEEDED[key].format(known[key]) for key in heeds if known[key] is not None)])


def _number(value: Any) -> float | None:
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if found == found else None  # noqa: PLR0124  NaN is not itself: not set
