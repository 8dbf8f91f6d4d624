"""The whole answer to a question, computed once: choices, the one to take, what it hangs on. Text and page read it."""

from __future__ import annotations

from dataclasses import dataclass

from analysis import flips
from analysis.flips import Flip
from analysis.tune_options import Asked
from analysis.tuning import QUANTILE, Choice, choices, chosen, rivals


@dataclass(frozen=True, slots=True)
class Answer:
    """``found`` is the best of every transport, ``best`` the choice, ``rivals`` what the costs cannot tell from it."""

    asked: Asked
    found: tuple[Choice, ...]
    best: Choice
    rivals: tuple[Choice, ...]
    flips: tuple[Flip, ...]

    @property
    def polling(self) -> Choice | None:
        """Polling at a fixed interval."""
        return next((one for one in self.found if one.transport == "polling" and not adapts(one)), None)

    @property
    def adaptive(self) -> Choice | None:
        """Polling by an adaptive policy, where one pays."""
        return next((one for one in self.found if adapts(one)), None)

    @property
    def long_polling(self) -> Choice | None:
        """Long polling."""
        return next((one for one in self.found if one.transport == "long_polling"), None)

    @property
    def pushes(self) -> list[Choice]:
        """The push transports."""
        return [one for one in self.found if "server.heartbeat_s" in one.settings]


def adapts(choice: Choice) -> bool:
    """Whether the pause follows what answers bring."""
    return choice.settings.get("polling.policy", "fixed_rate") != "fixed_rate"


def answer(asked: Asked) -> Answer:
    """Compute everything that is said."""
    found = choices(asked.situation, asked.goals, asked.costs, asked.prices)
    best = chosen(found, asked.goals)
    today = [one for one in found if not adapts(one)]
    hangs_on = flips.flips(asked.situation, asked.goals, asked.costs, asked.prices, today)
    return Answer(asked, tuple(found), best, tuple(rivals(found, best)) if best.meets else (), tuple(hangs_on))


FAMILIES = {
    "fixed_rate": "poll, fixed interval", "jittered": "poll, jittered", "backoff": "poll, back-off",
    "learning": "poll, learned rate", "long_polling": "long poll", "push": "push",
}  # fmt: skip


def family(one: Choice) -> str:
    """What kind of point it is."""
    key = str(one.settings.get("polling.policy", one.transport))
    return FAMILIES.get(key, FAMILIES["push"])


def row(one: Choice) -> dict[str, object]:
    """A choice as a row of a table."""
    asked = one.demand
    return {
        "family": family(one), "transport": one.transport, "label": one.label,
        "setting": ", ".join(
            f"{key.partition('.')[2]} {value if isinstance(value, str) else format(value, '.4g')}"
            for key, value in one.settings.items()
        ),
        "p95_s": one.quantiles_s[QUANTILE], "mean_s": one.mean_s, "max_s": one.max_s, "empty_ratio": one.empty_ratio,
        "requests_hz": one.requests_hz, "connections": asked.connections,
        "cores": asked.cores.value, "cores_low": asked.cores.low, "cores_high": asked.cores.high,
        "memory_bytes": asked.memory_bytes.value, "down_bps": asked.down_bps.value,
        "hourly": asked.hourly.value, "hourly_low": asked.hourly.low, "hourly_high": asked.hourly.high,
        "meets": one.meets,
    }  # fmt: skip
