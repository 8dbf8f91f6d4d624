import json
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers.payload import LEAST_BYTES, TEXTS, Payload, event_head, plain_event


def checked(event, payload_bytes):
    """Check an event as the wire contract says it, with nothing of the server's."""
    value = json.loads(event)
    data = value["data"]
    assert data[:10] == '{"crc32":"'
    assert data[18] == '"'
    text = data[19:]
    assert int(data[10:18], 16) == zlib.crc32(f"{value['topic']}|{value['seq']}|{text}".encode())
    assert data[10:18] == data[10:18].lower()
    assert len(data.encode()) == payload_bytes
    assert json.loads(data)["crc32"] == data[10:18]
    return value


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("payload_bytes", [LEAST_BYTES, LEAST_BYTES + 1, 29, 30, 31, 64, 256, 4096])
def test_events_check_themselves_and_have_the_length_asked_for(kind, payload_bytes):
    encode = Payload(kind, payload_bytes, seed=1).stamp("t3")
    for seq in (1, 2, 1500):
        value = checked(encode(seq, 5, 6), payload_bytes)
        assert (value["topic"], value["seq"], value["due_ns"], value["sent_ns"]) == ("t3", seq, 5, 6)


def test_members_come_in_the_contracts_order():
    event = Payload("text", 64, seed=1).stamp("t0")(17, 5, 6)
    assert event.startswith(b'{"topic": "t0", "seq": 17, "due_ns": 5, "sent_ns": 6, "data": "{\\"crc32\\":\\"')


@given(st.sampled_from(sorted(TEXTS)), st.integers(1, 600), st.integers())
def test_texts_complete_an_object_without_naming_a_member_twice(kind, size_bytes, seed):
    text = TEXTS[kind](random.Random(seed), size_bytes)
    assert len(text.encode()) == size_bytes
    names = json.loads('{"crc32":""' + text, object_pairs_hook=lambda pairs: [name for name, _ in pairs])
    assert len(names) == len(set(names))


def test_text_compresses_and_random_does_not():
    def ratio(kind):
        text = TEXTS[kind](random.Random(1), 4096).encode()
        return len(zlib.compress(text)) / len(text)

    assert ratio("text") < 0.35
    assert ratio("random") > 0.7


def test_pool_is_a_function_of_the_seed_and_larger_than_deflates_window():
    one, same, other = (Payload("text", 256, seed).stamp("t0")(1, 0, 0) for seed in (1, 1, 2))
    assert one == same != other
    encode = Payload("text", 256, 1).stamp("t0")
    texts = {json.loads(encode(seq, 0, 0))["data"][19:] for seq in range(1, 1001)}
    assert sum(map(len, texts)) > 4 * 32768


@given(st.text())
def test_published_data_comes_back_as_it_was(data):
    data = data.encode("utf-8", "ignore").decode()  # what can be published is UTF-8
    assert json.loads(plain_event(event_head("own"), 1, 2, 3, data)) == {
        "topic": "own", "seq": 1, "due_ns": 2, "sent_ns": 3, "data": data,
    }  # fmt: skip
