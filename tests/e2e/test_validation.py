"""Documents that break a rule, under each policy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from mongo_gcp_stream import Runner

from tests.support.dead_letters import DeadLetters
from tests.support.line import STREAM
from tests.support.pages import blocks
from tests.support.runner import Process

if TYPE_CHECKING:
    from tests.support.line import Line

PAGE = Path(__file__).resolve().parents[2] / "docs" / "guide" / "validation.md"
#: The value that breaks the rule: it may be in no error, and in no log.
CANARY = "canary-7f3a"
RULES = {STREAM: {"total": {"type": "number", "required": True, "min": 0}}}
INVALID = 57


def write(line: Line) -> None:
    """Insert a hundred documents, one of which breaks a rule."""
    documents = [{"_id": number, "revision": 1, "total": number} for number in range(100)]
    documents[INVALID]["total"] = CANARY  # type: ignore[assignment]
    line.collection.insert_many(documents)


def delivered(line: Line) -> dict[int, dict[str, str]]:
    """The attributes of each document's message."""
    return {
        json.loads(message.data)["documentKey"]["_id"]: dict(message.attributes)
        for message in line.pubsub.messages()
        if message.topic == line.topic
    }


def configure(line: Line, policy: str, schemas: Any = None) -> DeadLetters:
    letters = DeadLetters(line)
    letters.configure(
        file=True,
        schemas=schemas or RULES,
        source={"validation": {"on_invalid": policy, "schema_version": "3"}},
    )
    return letters


def test_dead_lettered_and_delivered_after_the_schema_is_mended(line: Line) -> None:
    letters = configure(line, "dead_letter")
    line.prepare()
    write(line)
    process = line.catch_up()
    assert process.wait() == 0, process.stderr
    assert CANARY not in process.stderr
    found = delivered(line)
    assert found.keys() == set(range(100)) - {INVALID}
    assert {attributes["schema_version"] for attributes in found.values()} == {"3"}
    (letter,) = letters.in_file()
    assert (letter["stage"], letter["reason"]) == ("validate", "schema: total: type number")
    assert letter["path"] == "total"
    assert letter["event"]["documentKey"] == {"_id": INVALID}

    # The position is past it.
    assert line.catch_up().wait() == 0
    assert len(letters.in_file()) == 1

    configure(line, "dead_letter", {STREAM: {"total": {"required": True}}})
    config = str(line.config)
    with Process("dead-letter", "redrive", "--config", config, env=line.env) as redrive:
        assert redrive.wait() == 0, redrive.stderr
    found = delivered(line)
    assert found.keys() == set(range(100))
    assert found[INVALID]["redriven"] == "true"
    assert letters.in_file() == []


def test_dropped_and_counted(line: Line) -> None:
    letters = configure(line, "drop")
    line.prepare()
    write(line)
    runner = Runner(str(line.config))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in line.env.items():
            patch.setenv(name, value)
        assert runner.run(until_caught_up=True).exit_code == 0
    assert delivered(line).keys() == set(range(100)) - {INVALID}
    assert letters.in_file() == []
    now = runner.statistics()[STREAM]
    assert (now.invalid, now.skipped, now.processed_changes) == (1, 1, 100)


def test_passed_with_what_it_breaks(line: Line) -> None:
    configure(line, "pass")
    line.prepare()
    write(line)
    assert line.catch_up().wait() == 0
    found = delivered(line)
    assert found.keys() == set(range(100))
    marked = {number for number, attributes in found.items() if "validation_errors" in attributes}
    assert marked == {INVALID}
    assert found[INVALID]["validation_errors"] == "total: type number"


def test_the_stream_ends_before_it(line: Line) -> None:
    letters = configure(line, "fail")
    line.prepare()
    write(line)
    process = line.catch_up()
    assert process.wait() == 1
    assert "total: type number" in process.stderr
    assert "on_invalid" in process.stderr.partition("hint: ")[2]
    assert CANARY not in process.stderr
    assert delivered(line).keys() == set(range(INVALID))
    assert letters.in_file() == []


#: Like `RULES`, and more.
JSON_SCHEMA = {
    "required": ["_id", "total"],
    "properties": {"total": {"type": "number", "minimum": 0}},
    "additionalProperties": {"bsonType": ["int", "long"]},
}


def hold_against(line: Line, json_schema: dict[str, Any]) -> DeadLetters:
    letters = DeadLetters(line)
    validation = {"on_invalid": "dead_letter", "json_schema": json_schema}
    letters.configure(file=True, source={"validation": validation})
    return letters


def assert_one_invalid(line: Line, letters: DeadLetters, reason: str) -> None:
    """Write, catch up, and find all but the one at the topic, and that one a dead letter."""
    write(line)
    process = line.catch_up()
    assert process.wait() == 0, process.stderr
    assert CANARY not in process.stderr
    assert delivered(line).keys() == set(range(100)) - {INVALID}
    (letter,) = letters.in_file()
    assert (letter["stage"], letter["reason"]) == ("validate", reason)
    assert letter["event"]["documentKey"] == {"_id": INVALID}


def test_against_a_json_schema(line: Line) -> None:
    letters = hold_against(line, {"inline": JSON_SCHEMA})
    line.prepare()
    assert_one_invalid(line, letters, "schema: total: type")


def test_against_the_schema_of_the_collection(line: Line) -> None:
    schema = {
        "bsonType": "object",
        "required": ["total"],
        "properties": {"total": {"type": "number", "minimum": -1, "exclusiveMinimum": True}},
    }
    letters = hold_against(line, {"collection": True})
    process = line.catch_up()
    assert process.wait() == 1, process.stderr
    assert "validation.json_schema.collection: the collection has no validator" in process.stderr

    database = line.collection.database
    database.drop_collection("orders")
    database.create_collection("orders", validator={"$jsonSchema": schema}, validationAction="warn")
    line.prepare()
    assert_one_invalid(line, letters, "schema: total: bsonType")
    # As it has been changed meanwhile.
    database.command("collMod", "orders", validator={"$jsonSchema": {**schema, "properties": {}}})
    config = str(line.config)
    with Process("dead-letter", "redrive", "--config", config, env=line.env) as redrive:
        assert redrive.wait() == 0, redrive.stderr
    assert delivered(line).keys() == set(range(100))
    assert letters.in_file() == []


def test_the_examples_of_the_guide_load(line: Line) -> None:
    examples = blocks(PAGE.read_text(), "yaml")
    assert len(examples) >= 2
    for example in examples:
        line.config.write_text(
            example.replace("${MONGODB_URI}", line.mongod.uri).replace("${GCP_PROJECT_ID}", "p")
        )
        assert not Runner(str(line.config)).warnings
