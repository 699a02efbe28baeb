"""What cannot be delivered is kept, and everything else goes on in order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from mongo_gcp_stream import Runner

from tests.support.dead_letters import DeadLetters
from tests.support.mongod import failing
from tests.support.order import assert_delivered
from tests.support.pages import blocks
from tests.support.runner import Process

if TYPE_CHECKING:
    from tests.support.line import Line

#: Events that Pub/Sub refuses. In a dead letter the quotes are escaped: that one is taken.
POISON = '"poisoned":true'
#: ChangeStreamHistoryLost.
HISTORY_LOST = 286
POISONED: dict[str, Any] = {"_id": 1000, "revision": 1, "poisoned": True}


GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guide" / "dead-letters.md"


@pytest.fixture
def letters(line: Line) -> DeadLetters:
    """A place for the dead letters of the line."""
    return DeadLetters(line)


def refuse(line: Line, times: int = -1) -> None:
    """Let Pub/Sub refuse what is poisoned."""
    line.pubsub.fault(
        "status", match={"data_contains": POISON}, code="INVALID_ARGUMENT", times=times
    )


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
    ids = [
        json.loads(letter["message"]["data"])["documentKey"]["_id"] for letter in letters.in_file()
    ]
    assert len(set(ids)) == len(ids) < 40
    assert len(ids) > 5, "what is put aside is kept"


def command(line: Line, *arguments: str) -> Process:
    """Run `mongo-gcp-stream dead-letter` and return the ended process."""
    with Process("dead-letter", *arguments, "--config", str(line.config), env=line.env) as process:
        process.wait()
        return process


def rows(process: Process) -> list[dict[str, Any]]:
    """What a command has said with --json."""
    return [json.loads(row) for row in process.stdout.splitlines()]


def make_one(line: Line, letters: DeadLetters, **places: bool) -> None:
    """Let Pub/Sub refuse one of three documents, and repent."""
    letters.configure(**places)
    line.prepare()
    refuse(line)
    line.collection.insert_one({"_id": 1, "revision": 1})
    line.collection.insert_one(POISONED)
    line.collection.insert_one({"_id": 2, "revision": 1})
    assert line.catch_up().wait() == 0
    assert len(letters.delivered()) == 2
    line.pubsub.clear_faults()


@pytest.mark.parametrize("place", ["file", "topic"])
def test_redriven_once_what_was_wrong_is_corrected(
    line: Line, letters: DeadLetters, place: str
) -> None:
    make_one(line, letters, **{place: True})
    subscription = letters.subscription.rpartition("/")[2]
    source = ["--subscription", subscription] if place == "topic" else []
    (listed,) = rows(command(line, "list", "--json", *source))
    assert (listed["stream"], listed["stage"]) == ("main.orders", "publish")
    assert "poisoned" not in json.dumps(listed)
    # Still refused: it stays, and tomorrow is another day.
    refuse(line)
    process = command(line, "redrive", "--json", *source)
    assert process.wait() == 1
    assert [row["outcome"] for row in rows(process)] == ["left"]
    assert "INVALID_ARGUMENT" in rows(process)[0]["why"]
    assert [letter["attempt"] for letter in letters.in_file()] == [2] * (place == "file")
    line.pubsub.clear_faults()
    for keep, left in (["--keep"], 1), ([], 0):
        process = command(line, "redrive", "--json", *keep, *source)
        assert process.wait() == 0, process.stderr
        assert [row["outcome"] for row in rows(process)] == ["redriven"]
        message = letters.delivered()[-1]
        assert message.attributes["redriven"] == "true"
        assert message.attributes["event_id"] == listed["event_id"]
        assert json.loads(message.data)["fullDocument"] == POISONED
        assert len(rows(command(line, "list", "--json", *source))) == left
    assert "EVENT_ID" in command(line, "list", *source).stdout
    assert_delivered(letters.delivered(), {1: 1, 2: 1, POISONED["_id"]: 1})


def test_an_event_that_cannot_be_read_keeps_no_other_from_being_delivered(
    line: Line, letters: DeadLetters
) -> None:
    """The first of two is left, since MongoDB cannot return it with both images."""
    letters.configure(file=True)
    database = line.collection.database
    database.command("create", line.collection.name, changeStreamPreAndPostImages={"enabled": True})
    line.collection.insert_one({"_id": 4, "revision": 1, "text": "x" * 10_000_000})
    line.prepare()
    line.collection.update_one({"_id": 4}, {"$set": {"revision": 2}})
    refuse(line)
    line.collection.insert_one(POISONED)
    assert line.catch_up().wait() == 0
    assert len(letters.in_file()) == 2
    line.pubsub.clear_faults()
    letters.configure(file=True, source={"full_document_before_change": "when_available"})
    process = command(line, "redrive", "--json")
    assert process.wait() == 1, process.stderr
    assert [row["outcome"] for row in rows(process)] == ["left", "redriven"]
    assert "16 MiB" in rows(process)[0]["why"]
    assert [letter["attempt"] for letter in letters.in_file()] == [2]


def test_redriven_by_the_configuration_of_now(line: Line, letters: DeadLetters) -> None:
    """A document that was too large is delivered by a pipeline that leaves the text out."""
    letters.configure(file=True)
    line.prepare()
    line.collection.insert_one({"_id": 5, "revision": 1, "text": "x" * 11_000_000})
    assert line.catch_up().wait() == 0
    process = command(line, "redrive", "--json", "--limit", "1")
    assert process.wait() == 1
    assert "request of" in rows(process)[0]["why"]
    assert "those that are left come first" in process.stderr
    letters.configure(file=True, source={"pipeline": [{"$project": {"fullDocument.text": 0}}]})
    assert command(line, "redrive").wait() == 0
    (message,) = letters.delivered()
    assert json.loads(message.data)["fullDocument"] == {"_id": 5, "revision": 1}
    assert not letters.in_file()


def test_a_row_for_bigquery_is_redriven_under_its_number(line: Line, letters: DeadLetters) -> None:
    name = line.topic.rpartition("/")[2]
    topic = {"name": name, "bigquery": {"dataset": "shop", "table": "orders"}}
    pubsub = {"topics": {"default": topic}}
    letters.configure(file=True, source={"envelope": "bigquery_cdc"}, pubsub=pubsub)
    line.prepare()
    refuse(line)
    line.collection.insert_one(POISONED)
    assert line.catch_up().wait() == 0
    line.pubsub.clear_faults()
    (letter,) = letters.in_file()
    process = command(line, "redrive")
    assert process.wait() == 0, process.stderr
    (message,) = letters.delivered()
    assert message.attributes["redriven"] == "true"
    assert json.loads(message.data) == json.loads(letter["message"]["data"])
    assert "_CHANGE_SEQUENCE_NUMBER" in json.loads(message.data)


def test_without_the_event_the_kept_message_is_sent(line: Line, letters: DeadLetters) -> None:
    make_one(line, letters, file=True)
    with failing(line.mongod, ["aggregate"], errorCode=HISTORY_LOST):
        process = command(line, "redrive", "--json")
    assert process.wait() == 0, process.stderr
    assert [row["outcome"] for row in rows(process)] == ["stored"]
    message = letters.delivered()[-1]
    assert message.attributes["redriven"] == "true"
    assert message.ordering_key.startswith("main.orders/")
    assert json.loads(message.data)["fullDocument"] == POISONED


def test_an_event_that_the_stream_no_longer_shows_is_left(line: Line, letters: DeadLetters) -> None:
    make_one(line, letters, file=True)
    letters.configure(file=True, source={"skip_operations": ["insert"]})
    process = command(line, "redrive", "--json")
    assert process.wait() == 1, process.stderr
    assert rows(process)[0]["why"] == "its stream does not show the event any more"
    process = command(line, "redrive", "--json", "--stream", "main.other")
    assert process.wait() == 0
    assert not rows(process)
    assert len(letters.in_file()) == 1


def test_without_a_place_for_them_there_is_nothing_to_look_at(line: Line) -> None:
    process = command(line, "list")
    assert process.wait() == 2
    assert "dead_letter.file" in process.stderr
    process = command(line, "list", "--file", "a", "--subscription", "b")
    assert process.wait() == 2
    process = command(line, "list", "--subscription", "nobody")
    assert process.wait() == 1
    assert "NOT_FOUND" in process.stderr


def test_the_configuration_of_the_guide_loads(line: Line) -> None:
    (section,) = blocks(GUIDE.read_text(), "yaml")
    topics = {"default": {"name": "shop"}, "undeliverable": {"name": "shop-undeliverable"}}
    line.configure(pubsub={"topics": topics})
    # JSON is YAML, section by section.
    written = json.loads(line.config.read_text())
    sections = [f"{name}: {json.dumps(value)}\n" for name, value in written.items()]
    line.config.write_text("".join(sections) + section)
    assert not Runner(str(line.config)).warnings
