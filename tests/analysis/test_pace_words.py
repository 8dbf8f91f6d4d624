"""Names of cells of policy experiments: what is heeded, with units, and nothing else."""

import pytest

from analysis import pace_words
from analysis.frames import cell_settings

ALL = "polling.interval_s=0.87/polling.policy={}/polling.longest_s=2.2/polling.expected=3/polling.memory_s=0.5"


@pytest.mark.parametrize(
    ("policy", "name"),
    [
        ("fixed_rate", "every 0.87 s"),
        ("fixed_delay", "0.87 s behind each answer"),
        ("jittered", "every 0.87 s, jittered"),
        ("backoff", "back-off 0.87 to 2.2 s"),
        ("learning", "learned rate 0.87 to 2.2 s, 3 expected, memory 0.5 s"),
        ("next_years", "next years"),
    ],
)
def test_a_cell_is_named_by_what_its_policy_heeds(policy, name):
    row = {"experiment": "e", "transport": "polling", "cell": f"polling/{ALL.format(policy)}"}
    assert cell_settings(row) == name


def test_other_settings_stay():
    row = {"experiment": "e", "transport": "polling", "cell": "polling/polling.policy=backoff/feed.rate_hz=2"}
    assert cell_settings(row) == "back-off, rate 2/s"
    assert cell_settings(row | {"cell": "polling/polling.interval_s=2"}) == "interval 2 s"


def test_a_curve_over_the_interval_is_named_without_it():
    settings = {"polling.policy": "backoff", "polling.longest_s": 2.2, "polling.factor": 1.5}
    assert pace_words.told(settings, pauses=False) == "back-off up to 2.2 s, factor 1.5"
    assert pace_words.told({"polling.policy": "fixed_rate"}, pauses=False) == "fixed interval"
    jittered = {"polling.policy": "jittered", "polling.interval_s": 1.0, "polling.jitter": 0.5}
    assert pace_words.told(jittered) == "every 1 s, jittered, ± 50%"
    assert pace_words.told(jittered | {"polling.jitter": float("nan")}) == "every 1 s, jittered"
