"""Each topic gets what is meant for it, all of it, in order."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.order import assert_delivered, first_deliveries
from tests.support.pages import blocks
from tests.support.runner import Process

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mongo_gcp_stream.testing import Mongod

    from tests.support.line import Line
    from tests.support.order import Delivered
    from tests.support.pubsub_fake import Published, PubSubFake

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guide" / "routing.md"

#: Events that are about no document.
BARRIERS = {"drop", "invalidate"}


def topic(line: Line, name: str) -> str:
    """Create a topic and return its name."""
    line.pubsub.create_topic(f"projects/test/topics/{name}")
    return name


def by_topic(line: Line) -> dict[str, list[Published]]:
    """Return the deliveries of each topic in the order of their commit."""
    topics: dict[str, list[Published]] = {}
    for message in line.pubsub.messages():
        topics.setdefault(message.topic.rpartition("/")[2], []).append(message)
    return topics


def documents(messages: Iterable[Published | Delivered]) -> list[Any]:
    """Return the `_id`s of the documents that the messages are about."""
    return [json.loads(message.data)["documentKey"]["_id"] for message in messages]


def three_topics(line: Line) -> set[str]:
    """Send everything to two topics and to one that is named by a template."""
    names = {line.database, topic(line, f"{line.database}-copy")}
    names.add(topic(line, f"{line.database}.orders-all"))
    line.configure(
        source={"topic": ["default", "copy", "{database}.{collection}-all"]},
        pubsub={
            "topics": {
                "default": {"name": line.database},
                "copy": {"name": f"{line.database}-copy"},
            }
        },
        checkpoint={"interval": "20ms"},
    )
    line.prepare()
    return names


def test_a_crash_and_a_drop_lose_nothing_in_any_of_three_topics(line: Line) -> None:
    names = three_topics(line)
    orders = line.orders()
    orders.write(600)
    before = orders.written
    line.collection.drop()
    orders.insert(400)
    with line.run() as process:
        line.pubsub.wait(messages=900)
        process.kill()
    assert line.catch_up().wait() == 0
    delivered = by_topic(line)
    assert delivered.keys() == names
    for name, messages in delivered.items():
        first = first_deliveries(messages)
        operations = [message.attributes["operation"] for message in first]
        assert operations[before : before + 2] == ["drop", "invalidate"], name
        about = [message for message in messages if message.attributes["operation"] not in BARRIERS]
        assert_delivered(about, orders.revisions)


def test_killed_again_and_again_with_three_topics(line: Line) -> None:
    names = three_topics(line)
    orders = line.orders()
    for round_ in range(4):
        orders.write(200)
        with line.run() as process:
            line.pubsub.wait(messages=line.delivered() + 100 + 53 * round_)
            process.kill()
    assert line.catch_up().wait() == 0
    delivered = by_topic(line)
    assert delivered.keys() == names
    for messages in delivered.values():
        assert_delivered(messages, orders.revisions)


def test_a_topic_that_is_missing_holds_its_stream_up_and_loses_nothing(line: Line) -> None:
    line.configure(source={"topic": "{database}.{field:kind|other}"})
    other = topic(line, f"{line.database}.other")
    line.prepare()
    line.collection.insert_many([{"_id": 1}, {"_id": 2, "kind": "rare"}, {"_id": 3}])
    with line.run("--until-caught-up") as process:
        process.wait_for_line(f"{line.database}.rare does not exist")
        rare = topic(line, f"{line.database}.rare")
        assert process.wait() == 0
    delivered = by_topic(line)
    assert set(documents(delivered[other])) == {1, 3}
    assert set(documents(delivered[rare])) == {2}


def test_check_says_that_templates_are_not_looked_at(line: Line) -> None:
    line.configure(source={"topic": ["default", "{collection}"]})
    with Process("check", "--config", str(line.config), "--json", env=line.env) as process:
        process.wait()
    findings = json.loads(process.stdout)
    notes = [found for found in findings if found["subject"] == "topic {collection}"]
    assert [note["severity"] for note in notes] == ["note", "skipped", "skipped"]
    assert "each event names its topic" in notes[0]["what"]


def test_a_name_that_pubsub_refuses_is_an_error_without_it(line: Line) -> None:
    line.configure(source={"topic": "{field:kind}"})
    line.prepare()
    line.collection.insert_one({"_id": 1, "kind": "canary value"})
    ended = line.catch_up()
    assert ended.wait() != 0
    assert "no topic" in ended.stderr
    assert "canary" not in ended.stderr


def test_a_delete_follows_its_document_only_with_a_before_image(line: Line) -> None:
    paid = topic(line, f"{line.database}-paid")
    line.configure(
        source={
            "full_document_before_change": "when_available",
            "routes": [{"topic": "paid", "when": {"field": "status", "equals": "paid"}}],
        },
        pubsub={"topics": {"default": {"name": line.database}, "paid": {"name": paid}}},
    )
    database = line.client[line.database]
    database.create_collection("orders", changeStreamPreAndPostImages={"enabled": False})
    line.prepare()
    line.collection.insert_one({"_id": 1, "status": "paid"})
    line.collection.delete_one({"_id": 1})
    database.command("collMod", "orders", changeStreamPreAndPostImages={"enabled": True})
    line.collection.insert_one({"_id": 2, "status": "paid"})
    line.collection.delete_one({"_id": 2})
    assert line.catch_up().wait() == 0
    delivered = {
        name: [
            (message.attributes["operation"], json.loads(message.data)["documentKey"]["_id"])
            for message in messages
        ]
        for name, messages in by_topic(line).items()
    }
    assert sorted(delivered[line.database]) == [("delete", 1)]
    assert sorted(delivered[paid]) == [("delete", 2), ("insert", 1), ("insert", 2)]


def test_the_events_of_a_customer_are_in_order_across_collections(line: Line) -> None:
    line.configure(
        source={"collection": None},
        pubsub={
            "ordering": "field:customer.id",
            "extra_attributes": {"customer": "{field:customer.id}", "zone": "eu"},
        },
    )
    line.prepare()
    database = line.client[line.database]
    for step in range(60):
        target = database.orders if step % 3 else database.returns
        target.insert_one({"_id": step, "customer": {"id": f"c{step % 5}"}})
    assert line.catch_up().wait() == 0
    messages = line.pubsub.messages()
    for number in range(5):
        own = [m for m in messages if m.attributes["customer"] == f"c{number}"]
        assert documents(own) == list(range(number, 60, 5))
        assert len({message.ordering_key for message in own}) == 1
    assert {message.attributes["zone"] for message in messages} == {"eu"}


def test_a_delete_that_hides_its_customer_is_not_overtaken(line: Line) -> None:
    line.configure(source={"full_document": "default"}, pubsub={"ordering": "field:customer.id"})
    line.prepare()
    for step in range(40):
        line.collection.insert_one({"_id": step % 4, "customer": {"id": f"c{step}"}})
        line.collection.delete_one({"_id": step % 4})
    assert line.catch_up().wait() == 0
    operations: dict[int, list[str]] = {}
    for message in first_deliveries(line.pubsub.messages()):
        (number,) = documents([message])
        operations.setdefault(number, []).append(message.attributes["operation"])
    assert operations == {number: ["insert", "delete"] * 10 for number in range(4)}


def test_another_field_is_another_order(line: Line) -> None:
    line.configure(pubsub={"ordering": "field:customer.id"})
    line.prepare()
    line.configure(pubsub={"ordering": "field:customer.name"})
    process = line.catch_up()
    assert process.wait() != 0
    assert "field customer.id lanes 64 xxh3-64" in process.stderr


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """The configuration of the guide."""
    (text,) = blocks(GUIDE.read_text(), "yaml")
    config = tmp_path / "config.yaml"
    config.write_text(text)
    return config


def test_the_example_of_the_guide(
    tmp_path: Path, example: Path, own_mongod: Mongod, pubsub: PubSubFake
) -> None:
    for name in ("audit", "paid", "large", "orders"):
        pubsub.create_topic(f"projects/guide/topics/shop-{name}")
    env = {
        "MONGODB_URI": own_mongod.uri,
        "GCP_PROJECT_ID": "guide",
        "STATE_DIR": str(tmp_path / "state"),
        "PUBSUB_EMULATOR_HOST": pubsub.grpc_address,
    }
    arguments = ("run", "--config", str(example), "--until-caught-up")
    customer = {"id": "c7", "country": "DE"}
    with own_mongod.client() as client:
        with Process(*arguments, env=env) as first:
            assert first.wait() == 0, first.stderr
        client.shop.orders.insert_many(
            [
                {"_id": 1, "status": "new", "total": 10},
                {"_id": 2, "status": "paid", "total": 10},
                {"_id": 3, "status": "paid", "total": 2000, "customer": customer},
            ]
        )
        with Process(*arguments, env=env) as second:
            assert second.wait() == 0, second.stderr
    topics: dict[int, set[str]] = {}
    for message in pubsub.messages():
        assert message.attributes["kind"] == "orders.insert"
        (number,) = documents([message])
        assert message.attributes.get("customer") == ("c7" if number == 3 else None)
        topics.setdefault(number, set()).add(message.topic.rpartition("/")[2])
    assert topics == {
        1: {"shop-audit", "shop-orders"},
        2: {"shop-paid"},
        3: {"shop-paid", "shop-large", "shop-audit"},
    }
    table = GUIDE.read_text()
    for names in topics.values():
        listed = [set(re.findall(r"`(shop-\w+)`", row)) for row in table.splitlines()]
        assert names in listed
