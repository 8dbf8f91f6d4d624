import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers.feed import (
    ROUND_NS,
    WAKE_BURST_NS,
    WAKE_GAP_NS,
    BadTopicError,
    Feed,
    FeedSettings,
    GoneError,
    ScheduledTopicError,
    StartedError,
    Topic,
    TopicLimitError,
    UnknownTopicError,
)
from servers.schedule import Schedule


class World:
    """A feed whose clock stands still until it is told to go on."""

    def __init__(self, rate_hz=10.0, kind="poisson", **more):
        self.now_ns = 1_000
        self.alarms = []
        self.feed = Feed(FeedSettings(Schedule(kind, rate_hz), **more), clock=lambda: self.now_ns)
        self.feed.arm = self.alarms.append

    def play(self, until_ns):
        """Go from alarm to alarm, as a timer would."""
        while self.alarms[-1] and self.alarms[-1] <= until_ns:
            self.now_ns = max(self.now_ns, self.alarms[-1])
            self.feed.wake()
        self.now_ns = until_ns


def keep(topic, form="form"):
    got = []
    cancel = topic.subscribe(form, lambda event: event.json, got.append)
    return got, cancel


def test_events_are_due_at_epoch_plus_offset_and_seq_has_no_holes():
    world = World(topics=2)
    got, _ = keep(world.feed.topic("t1"))
    assert world.feed.state == "waiting"
    world.feed.start(5_000, stop_ns=5_000_000_000)
    world.play(6_000_000_000)
    events = [json.loads(data) for data in got]
    plan = world.feed.settings.schedule
    assert len(events) > 20
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert [event["due_ns"] for event in events] == [5_000 + plan.offset("t1", i + 1) for i in range(len(events))]
    assert 5_000 + plan.offset("t1", len(events) + 1) >= 5_000_000_000 > events[-1]["due_ns"]
    assert world.feed.state == "stopped"
    assert world.alarms[-1] == 0


def test_sent_is_when_the_event_was_handed_out():
    world = World(rate_hz=1.0, kind="constant")
    got, _ = keep(world.feed.topic("t0"))
    world.feed.start(0)
    world.now_ns = 3_500_000_000  # three periods late: three events at once, none left out
    world.feed.catch_up()
    events = [json.loads(data) for data in got]
    assert [event["seq"] for event in events] == [1, 2, 3, 4][: len(events)]
    assert len(events) >= 3
    assert {event["sent_ns"] for event in events} == {3_500_000_000}
    assert all(event["due_ns"] <= 3_500_000_000 for event in events)


def test_wake_before_the_time_publishes_nothing_and_arms_again():
    world = World()
    world.feed.start(1_000_000_000)
    due_ns = world.alarms[-1]
    world.feed.wake()
    assert world.feed.topic("t0").newest == 0
    assert world.alarms[-1] == due_ns


def test_what_became_due_during_a_wake_waits_for_the_next():
    world = World(rate_hz=1.0, kind="constant")
    topic = world.feed.topic("t0")
    world.feed.start(0)

    def slow(_data):
        world.now_ns += 10_000_000_000

    topic.subscribe("slow", lambda event: event.json, slow)
    world.now_ns = world.alarms[-1]
    world.feed.wake()
    assert topic.newest == 1
    assert world.alarms[-1] <= world.now_ns  # and that at once


def test_low_rates_get_a_wake_per_event_and_high_rates_share():
    low, high = World(rate_hz=100.0), World(rate_hz=10_000.0)
    for world in (low, high):
        world.feed.start(0, stop_ns=2_000_000_000)
        world.play(3_000_000_000)
    assert low.feed.topic("t0").newest * 0.97 < len(low.alarms)
    assert len(high.alarms) <= (2_000_000_000 + WAKE_BURST_NS) / WAKE_GAP_NS + 2
    log = high.feed.topic("t0").since(high.feed.topic("t0").newest - 1000)
    assert max(event.sent_ns - event.due_ns for event in log) <= WAKE_GAP_NS


def test_an_epoch_in_the_past_fills_the_log_at_once():
    world = World()
    world.now_ns = 10_000_000_000
    world.feed.start(0)
    world.feed.catch_up()
    assert world.feed.topic("t0").latest().due_ns <= 10_000_000_000
    assert world.feed.topic("t0").newest > 50


def test_the_epoch_can_be_moved_until_it_has_come():
    world = World()
    world.feed.start(5_000_000_000)
    world.feed.start(2_000_000_000, stop_ns=3_000_000_000)
    world.play(1_000_000_000)
    assert world.feed.state == "waiting"
    world.play(2_500_000_000)
    assert world.feed.state == "running"
    with pytest.raises(StartedError, match="running since 2000000000"):
        world.feed.start(9_000_000_000)


def test_a_stop_before_the_first_event_leaves_nothing_to_do():
    world = World(rate_hz=1e-6, kind="constant")
    world.feed.start(0, stop_ns=1)
    assert world.alarms == [0]
    world.feed.wake()
    assert world.feed.topic("t0").newest == 0


def test_encoded_once_per_form_and_written_to_each():
    topic = Topic("own", 10, scheduled=False)
    calls = []

    def encode(event):
        calls.append(event.seq)
        return event.json

    got = []
    for _ in range(5):
        topic.subscribe("same", encode, got.append)
    topic.subscribe("other", encode, got.append)
    topic.publish(1, "x")
    assert calls == [1, 1]
    assert len(got) == 6
    assert got[0] is got[4]


def test_cancel_ends_one_subscription_and_may_be_repeated():
    topic = Topic("own", 10, scheduled=False)
    (one, cancel), (two, _) = keep(topic), keep(topic)
    topic.publish(1, "x")
    cancel()
    cancel()
    topic.publish(2, "y")
    assert (len(one), len(two)) == (1, 2)


def test_an_old_cancel_leaves_a_new_group_of_the_same_form_alone():
    topic = Topic("own", 10, scheduled=False)
    _, cancel = keep(topic)
    cancel()
    got, _ = keep(topic)
    cancel()
    topic.publish(1, "x")
    assert len(got) == 1


def test_a_write_may_cancel_itself_and_subscribe_anew():
    topic = Topic("own", 10, scheduled=False)
    got = []

    def again(data):
        got.append(data)
        cancels.pop()()
        cancels.append(topic.subscribe("form", lambda event: event.json, again))

    cancels = [topic.subscribe("form", lambda event: event.json, again)]
    topic.publish(1, "x")
    topic.publish(2, "y")
    assert len(got) == 2


def test_since_gives_what_lies_past_the_cursor():
    topic = Topic("own", 3, scheduled=False)
    assert topic.since(0) == []
    for now_ns in range(5):
        topic.publish(now_ns, "x")
    assert (topic.oldest, topic.newest) == (3, 5)
    assert [event.seq for event in topic.since(2)] == [3, 4, 5]
    assert [event.seq for event in topic.since(2, limit=2)] == [3, 4]
    assert topic.since(5) == []
    assert topic.since(2, limit=0) == []


@pytest.mark.parametrize("after", [0, 1, 6, 1 << 62])
def test_since_outside_the_log_says_what_is_held(after):
    topic = Topic("own", 3, scheduled=False)
    for now_ns in range(5):
        topic.publish(now_ns, "x")
    with pytest.raises(GoneError) as caught:
        topic.since(after)
    assert (caught.value.after, caught.value.oldest, caught.value.newest) == (after, 3, 5)


@given(st.integers(1, 8), st.lists(st.booleans(), max_size=40))
def test_replay_and_live_make_every_event_once(log_events, steps):
    topic = Topic("own", log_events, scheduled=False)
    got = []

    def live():
        return topic.subscribe(0, lambda event: event.json, lambda data: got.append(json.loads(data)["seq"]))

    cancel = live()
    for leave in steps:
        topic.publish(1, "x")
        if leave:
            cancel()
            topic.publish(1, "missed")
            try:
                got.extend(event.seq for event in topic.since(got[-1]))
            except GoneError:
                assert topic.oldest > got[-1] + 1
                got[:] = range(1, topic.newest + 1)
            cancel = live()
    assert got == list(range(1, topic.newest + 1))


def test_published_topics_come_to_exist_with_the_first_event_and_are_bounded():
    feed = World(published_topics=1).feed
    with pytest.raises(UnknownTopicError, match="'own'"):
        feed.topic("own")
    event = feed.publish("own", 'a "quoted" word')
    assert (event.seq, event.due_ns, event.sent_ns) == (1, 1_000, 1_000)
    assert json.loads(event.json)["data"] == 'a "quoted" word'
    assert feed.topic("own").latest() is event
    assert feed.publish("own", "b").seq == 2
    with pytest.raises(TopicLimitError, match="at most 1"):
        feed.publish("other", "c")
    with pytest.raises(ScheduledTopicError):
        feed.publish("t0", "c")


@pytest.mark.parametrize("name", ["", "a/b", "a b", "ä", "x" * 65])
def test_names_that_are_none(name):
    with pytest.raises(BadTopicError):
        World().feed.publish(name, "x")


def test_a_feed_that_lies_behind_returns_to_its_loop_between_rounds():
    world = World(topics=3, rate_hz=100.0, kind="constant")
    got, _ = keep(world.feed.topic("t0"))
    world.now_ns = 10 * 10**9
    world.feed.start(0, stop_ns=world.now_ns)
    assert world.feed.behind(world.now_ns)
    world.feed.wake()
    assert 0 < len(got) <= 100 * ROUND_NS / 1e9 + 1
    assert world.alarms[-1] <= world.now_ns  # at once, after everybody else
    world.play(2 * world.now_ns)
    assert len(got) == 1000
    assert not world.feed.behind(world.now_ns)


def test_catching_up_at_once_makes_the_log_another_server_had():
    first, second = World(topics=2), World(topics=2)
    first.feed.start(5_000)
    first.play(8 * 10**9)
    second.now_ns = 8 * 10**9
    second.feed.start(5_000)
    second.feed.catch_up()
    for name in ("t0", "t1"):
        before, after = first.feed.topic(name).since(0), second.feed.topic(name).since(0)
        assert len(after) > 20
        assert [(event.seq, event.due_ns, json.loads(event.json)["data"]) for event in before] == [
            (event.seq, event.due_ns, json.loads(event.json)["data"]) for event in after
        ]
