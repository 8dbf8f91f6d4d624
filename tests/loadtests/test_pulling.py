"""What polling and long polling share, with a style of asking made up for the test."""

from loadtests.clients import Connect, Connected, Data, Deadline, Emit, Mark, Progress, Send, Wake
from loadtests.clients.http import Response
from loadtests.clients.pulling import past_cursor, pull
from tests.loadtests.by_hand import subscriber
from tests.loadtests.pulling_hand import answer, status

WHO = subscriber("/x")
SECOND = 1_000_000_000


def made(due=lambda sent_ns, at_ns, new: at_ns, read=None, *, keep_alive=True, holds=False):
    prompts = []

    def ask(progress, prompt):
        prompts.append(prompt)
        return Send(b"after %d" % (progress.after or 0))

    client = pull(
        WHO, lambda _: (ask, read or past_cursor(WHO)), due, keep_alive=keep_alive, hold_s=25.0 if holds else 0.0
    )
    assert next(client) == Connect(WHO.address, 5.0, 10.0)
    return client, prompts


def data(text, at_ns):
    return Data(memoryview(text), at_ns)


def test_an_answer_and_the_next_request_are_one_turn():
    client, _ = made()
    assert client.send(Connected(5, 5)) == (Send(b"after 0"),)
    rows, row, *marks, deadline, send = client.send(data(answer(1), 6))
    assert isinstance(rows, Emit)
    assert row.row[1:5] == (5, 6, 200, 1)
    assert marks == [Mark("upgraded", 6), Mark("subscribed", 6)]
    assert send == Send(b"after 1")
    assert deadline == Deadline(6 + 10 * SECOND, "response timeout after 10 s")
    row, _, send = client.send(data(status(204), 9))  # nothing new: no rows, and nothing to mark
    assert row.row[1:5] == (6, 9, 204, 0)


def test_only_a_due_time_to_come_is_waited_for():
    client, _ = made(due=lambda sent_ns, at_ns, new: 50)
    client.send(Connected(5, 5))
    assert client.send(data(status(204), 49))[-1] == Wake(50)


def test_a_due_time_that_has_come_is_not():
    client, _ = made(due=lambda sent_ns, at_ns, new: 50)
    client.send(Connected(5, 5))
    assert client.send(data(status(204), 50))[-1] == Send(b"after 0")


def test_who_is_asked_promptly():
    for keep_alive in (True, False):
        client, prompts = made(holds=False, keep_alive=keep_alive)
        client.send(Connected(5, 5))
        assert prompts == [True]
    client, prompts = made(holds=True)
    client.send(Connected(5, 5))
    client.send(data(status(204), 6))
    assert prompts == [True, False]


def test_rows_of_a_batch_and_the_cursor_behind_it():
    response, progress = Response(), Progress(1, WHO, WHO, attempt=4)
    response.feed(answer(1, 2, 3))
    rows, new = past_cursor(WHO)(response, progress, 99)
    assert [(row[1], row[3], row[6]) for row in rows] == [(4, 1, 99), (4, 2, 99), (4, 3, 99)]
    assert new == 2
    assert progress.after == 3
