"""What cannot be delivered is kept, and everything else goes on in order."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.dead_letters import DeadLetters
from tests.support.order import assert_delivered

if TYPE_CHECKING:
    from tests.support.line import Line

#: Events that Pub/Sub refuses. In a dead letter the quotes are escaped: that one is taken.
POISON = '"poisoned":true'
POISONED: dict[str, Any] = {"_id": 1000, "revision": 1, "poisoned": True}


@pytest.fixture
def letters(line: Line) -> DeadLetters:
    """A place for the dead letters of the line."""
    return DeadLetters(line)


def refuse(line: Line, times: int = -1) -> None:
    """Let Pub/Sub refuse what is poisoned."""
    line.pubsub.fault("status", match={"data_contains": POISON}, code="INVALID_ARGUMENT", times=times)


def test_a_document_over_the_limit_is_left_out_and_its_neighbours_come(
    line: Line, letters: DeadLetters
) -> None:
    letters.configure(file=True)
    line.prepare()
    orders = line.orders()
    orders.insert(20)
    secret = "s3cret" * (11 * 1_000_000 // 6)
    line.collection.insert_one({"_id": 1000, "revision": 1, "text": secret})
    orders.insert(20)
    process = line.catch_up()
    assert process.wait() == 0, process.stderr
    assert_delivered(letters.delivered(), orders.revisions)
    (letter,) = letters.in_file()
    assert letter["stream"] == "main.orders"
    assert (letter["stage"], letter["operation"]) == ("publish", "insert")
    assert letter["reason"].startswith("too_large: ")
    assert letter["message"]["size"] > 11_000_000
    assert letter["position"]["operation_time"]["t"] > 0
    assert "s3cret" not in json.dumps(letter) + process.stderr
    # The position is past it.
    assert line.catch_up().wait() == 0
    assert len(letters.in_file()) == 1
    assert line.delivered() == orders.written


@pytest.mark.parametrize("places", [["file"], ["topic"], ["file", "topic"]])
def test_what_pubsub_refuses_is_kept_and_the_rest_stays_in_order(
    line: Line, letters: DeadLetters, places: list[str]
) -> None:
    letters.configure(**dict.fromkeys(places, True), pubsub={"lanes": 2})
    line.prepare()
    orders = line.orders()
    refuse(line)
    for number in range(3):
        orders.write(100)
        line.collection.insert_one({**POISONED, "_id": 1000 + number})
    orders.write(100)
    line.collection.database.drop_collection("orders")
    process = line.catch_up()
    assert process.wait() == 0, process.stderr
    changes = [message for message in letters.delivered() if message.ordering_key]
    changes = [message for message in changes if "documentKey" in json.loads(message.data)]
    assert_delivered(changes, orders.revisions)
    kept = {
        "file": letters.in_file(),
        "topic": [json.loads(message.data) for message in letters.published()],
    }
    for place, found in kept.items():
        ids = [json.loads(letter["message"]["data"])["documentKey"]["_id"] for letter in found]
        assert sorted(ids) == ([1000, 1001, 1002] if place in places else [])
    for message in letters.published():
        assert message.attributes["reason_kind"] == "rejected"
        assert message.attributes["stream"] == "main.orders"
        assert not message.ordering_key
    assert "becomes a dead letter" in process.stderr


def test_killed_again_and_again_nothing_is_lost(line: Line, letters: DeadLetters) -> None:
    letters.configure(file=True, topic=True, checkpoint={"interval": "20ms"})
    line.prepare()
    orders = line.orders()
    refuse(line)
    poisoned = []
    for number in range(5):
        orders.write(200)
        poisoned.append(1000 + number)
        line.collection.insert_one({**POISONED, "_id": poisoned[-1]})
        goal = line.delivered() + 100
        with line.run() as process:
            line.pubsub.wait(messages=goal)
            process.kill()
    assert line.catch_up().wait() == 0
    assert_delivered(letters.delivered(), orders.revisions)
    for found in (
        letters.in_file(),
        [json.loads(message.data) for message in letters.published()],
    ):
        ids = {json.loads(letter["message"]["data"])["documentKey"]["_id"] for letter in found}
        assert ids == set(poisoned)


def test_a_file_that_cannot_be_written_stops_the_stream_before_it(
    line: Line, letters: DeadLetters
) -> None:
    letters.configure(file=True, error_handling={"max_retries": 0})
    line.prepare()
    refuse(line)
    line.collection.insert_one(POISONED)
    letters.file.mkdir(parents=True)
    process = line.catch_up()
    assert process.wait() == 1
    assert "dead letters cannot be written to" in process.stderr
    assert "`dead_letter.file`" in process.stderr.partition("hint: ")[2]
    letters.file.rmdir()
    assert line.catch_up().wait() == 0
    assert len(letters.in_file()) == 1


def test_the_file_is_put_aside_when_it_is_large(line: Line, letters: DeadLetters) -> None:
    letters.configure(file=True, file_options={"max_size": "5kB", "keep": 2})
    line.prepare()
    refuse(line)
    line.collection.insert_many([{**POISONED, "_id": 1000 + number} for number in range(40)])
    assert line.catch_up().wait() == 0
    names = sorted(path.name for path in letters.file.parent.iterdir())
    assert names == [f"{letters.file.name}{suffix}" for suffix in ("", ".1", ".2", ".lock")]
    assert all(path.stat().st_size <= 5000 for path in letters.file.parent.iterdir())
    ids = [json.loads(letter["message"]["data"])["documentKey"]["_id"] for letter in letters.in_file()]
    assert len(set(ids)) == len(ids) < 40
    assert len(ids) > 5, "what is put aside is kept"
