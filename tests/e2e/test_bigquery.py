"""`bigquery_cdc`: whatever happens to the messages, the table ends equal to the collection."""

from __future__ import annotations

import json
import random
import re
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from bson import Decimal128, ObjectId
from google.cloud import pubsub_v1
from mongo_gcp_stream.cli.exit_codes import ExitCode

from tests.support.bigquery_model import Table, sequence
from tests.support.line import PROJECT
from tests.support.pages import blocks
from tests.support.runner import Process

if TYPE_CHECKING:
    from pymongo.collection import Collection

    from tests.support.line import Line

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = 30


@pytest.fixture
def rows(line: Line) -> Line:
    """A line to a topic of rows, whose key is a number."""
    configure(line)
    line.prepare()
    return line


def configure(line: Line, **more: Any) -> None:
    table = {"dataset": "shop", "table": "orders", "columns": {"_id": "INT64"}}
    topic = {"name": line.database, "envelope": "bigquery_cdc", "bigquery": table, **more}
    line.configure(pubsub={"topics": {"default": topic}}, checkpoint={"interval": "20ms"})


def work(collection: Collection[dict[str, Any]], seed: int, changes: int) -> None:
    """Insert, update, replace and delete documents, each again and again."""
    choices = random.Random(seed)
    for count in range(changes):
        key = {"_id": choices.randrange(DOCUMENTS)}
        match choices.randrange(4):
            case 0:
                collection.replace_one(key, {"Name": f"r{count}", "name": count}, upsert=True)
            case 1:
                collection.delete_one(key)
            case _:
                collection.update_one(key, {"$set": {"revision": count}}, upsert=True)


def expected(line: Line) -> list[dict[str, Any]]:
    """The collection, its documents without the fields that are renamed."""
    found = sorted(line.collection.find(), key=lambda document: repr((document["_id"],)))
    return [{name: value for name, value in row.items() if name != "Name"} for row in found]


def assert_equal(table: Table, line: Line) -> None:
    plain = [{name: row[name] for name in row if not name.startswith("Name")} for row in table.rows]
    assert plain == expected(line)


def numbers(line: Line) -> list[tuple[int, ...]]:
    """The sequence numbers of the deliveries, without those that came before."""
    found = (json.loads(message.data) for message in line.pubsub.messages())
    return list(dict.fromkeys(sequence(row["_CHANGE_SEQUENCE_NUMBER"]) for row in found))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_shuffled_and_repeated(rows: Line, seed: int) -> None:
    work(rows.collection, seed, 400)
    assert rows.catch_up().wait() == 0
    data = [message.data for message in rows.pubsub.messages()]
    assert len(data) > DOCUMENTS
    shuffled = data + random.Random(seed).choices(data, k=len(data))
    random.Random(seed).shuffle(shuffled)
    table = Table()
    table.apply_all(shuffled)
    assert_equal(table, rows)


def change_five_times(line: Line) -> None:
    """One transaction, one document: all five events share their cluster time."""
    with line.client.start_session() as session, session.start_transaction():
        line.collection.insert_one({"_id": 1, "revision": 1}, session=session)
        for revision in range(2, 6):
            change = {"$set": {"revision": revision}}
            line.collection.update_one({"_id": 1}, change, session=session)


def test_killed_after_each_event_of_a_transaction(line: Line) -> None:
    """A number that began again at each start would be below that of the row, and ignored."""
    configure(line)
    line.client[line.database].create_collection(
        "orders", changeStreamPreAndPostImages={"enabled": True}
    )
    # One event a request, and a reply: the position is stored between them.
    source = {"batch_size": 1, "full_document": "required"}
    config = json.loads(line.config.read_text())
    config["mongodb"]["connections"]["main"]["sources"]["orders"].update(source)
    config["pubsub"].update(batch={"max_messages": 1}, slots=1)
    line.config.write_text(json.dumps(config))
    line.prepare()
    change_five_times(line)
    for published in range(1, 6):
        with line.run() as process:
            line.pubsub.wait(distinct_event_ids=published)
            process.kill()
    assert line.catch_up().wait() == 0
    risen = numbers(line)
    assert risen == sorted(risen)
    assert len(risen) == 5
    assert len({number[0] for number in risen}) == 1
    data = [message.data for message in line.pubsub.messages()]
    assert {json.loads(row)["revision"] for row in data} == {1, 2, 3, 4, 5}
    table = Table()
    table.apply_all(reversed(data))
    assert table.rows == [{"_id": 1, "revision": 5}]


def test_resumed_after_each_event_of_a_transaction(rows: Line) -> None:
    """From the token of each event on, the others have the numbers that they had."""
    with rows.collection.watch() as stream:
        change_five_times(rows)
        tokens = [next(stream)["_id"]["_data"] for _ in range(5)]
    assert rows.catch_up().wait() == 0
    all_numbers = numbers(rows)
    assert len(all_numbers) == 5
    config = json.loads(rows.config.read_text())
    for position, token in enumerate(tokens[:-1], start=1):
        rows.checkpoint.unlink()
        rows.pubsub.reset()
        config["mongodb"]["connections"]["main"]["sources"]["orders"]["startup"] = {"token": token}
        rows.config.write_text(json.dumps(config))
        assert rows.catch_up().wait() == 0
        assert numbers(rows) == all_numbers[position:]


def test_a_document_that_is_gone_when_it_is_looked_up(rows: Line) -> None:
    """Its update makes no row; its delete follows with a higher number."""
    rows.collection.insert_one({"_id": 1})
    rows.collection.update_one({"_id": 1}, {"$set": {"revision": 2}})
    rows.collection.delete_one({"_id": 1})
    assert rows.catch_up().wait() == 0
    data = [json.loads(message.data) for message in rows.pubsub.messages()]
    assert [row["_CHANGE_TYPE"] for row in data] == ["UPSERT", "DELETE"]
    assert [row["_id"] for row in data] == [1, 1]


def test_types_and_names(line: Line) -> None:
    configure(line, bigquery={"dataset": "shop", "table": "orders"})
    line.prepare()
    key = ObjectId()
    line.collection.insert_one(
        {
            "_id": key,
            "at": datetime(2026, 1, 31, 1, 2, 3, 250_000, tzinfo=timezone.utc),
            "price": Decimal128("10.25"),
            "items": [{"sku": "a"}],
            "_CHANGE_TYPE": "DELETE",
        }
    )
    assert line.catch_up().wait() == 0
    table = Table()
    table.apply_all(message.data for message in line.pubsub.messages())
    (row,) = table.rows
    assert row["_id"] == str(key)
    assert row["at"] == "2026-01-31T01:02:03.250Z"
    assert row["price"] == "10.25"
    assert json.loads(row["items"]) == [{"sku": "a"}]
    assert list(row.values()).count("DELETE") == 1


def test_the_golden_rows_are_rows() -> None:
    cases = json.loads((ROOT / "tests" / "golden" / "bigquery_rows.json").read_text())
    rows = [json.dumps(case["data"]).encode() for case in cases if case["data"]]
    assert len(rows) >= 5
    for row in rows:
        table = Table()
        table.apply(row)
        assert len(table.rows) == (json.loads(row)["_CHANGE_TYPE"] == "UPSERT")


def test_the_model_refuses_what_bigquery_refuses() -> None:
    assert sequence("0a/1") < sequence("A/2") < sequence("b/0")
    for number in ("", "1/2/3/4/5", "g", "0123456789abcdef0", "1/"):
        with pytest.raises(ValueError, match="sequence"):
            sequence(number)
    for bad in ({"a": [1]}, {"a": 1, "A": 1}, {"a-b": 1}):
        row = {"_id": 1, "_CHANGE_TYPE": "UPSERT", "_CHANGE_SEQUENCE_NUMBER": "1", **bad}
        with pytest.raises(ValueError, match=r"table|nested"):
            Table().apply(json.dumps(row).encode())


def setup(line: Line, *arguments: str) -> Process:
    with Process("setup", "--config", str(line.config), *arguments, env=line.env) as process:
        process.wait()
        return process


def test_setup_prints_the_table_and_the_subscription(line: Line) -> None:
    configure(line, subscriptions={"to-bigquery": {"bigquery": True}})
    printed = setup(line, "--dry-run")
    assert printed.wait() == ExitCode.CLEAN
    table = f"`{PROJECT}.shop.orders`"
    assert f"CREATE TABLE IF NOT EXISTS {table}" in printed.stdout
    assert "PRIMARY KEY (`_id`) NOT ENFORCED" in printed.stdout
    flags = f"--bigquery-table={PROJECT}:shop.orders --use-table-schema --drop-unknown-fields"
    assert flags in printed.stdout


def test_setup_makes_the_subscription_once(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(line, subscriptions={"to-bigquery": {"bigquery": True}})
    made = setup(line)
    assert re.search(r"^created +subscription to-bigquery", made.stdout, re.MULTILINE), made.stdout
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", line.pubsub.grpc_address)
    with pubsub_v1.SubscriberClient() as client:
        name = client.subscription_path(PROJECT, "to-bigquery")
        delivery = client.get_subscription(subscription=name, timeout=30).bigquery_config
    assert delivery.table == f"{PROJECT}.shop.orders"
    assert delivery.use_table_schema
    assert delivery.drop_unknown_fields
    again = setup(line)
    assert re.search(r"^unchanged +subscription to-bigquery", again.stdout, re.MULTILINE)
    assert "CREATE TABLE" in again.stdout


def test_updates_without_their_document_are_refused(line: Line) -> None:
    configure(line)
    config = json.loads(line.config.read_text())
    orders = config["mongodb"]["connections"]["main"]["sources"]["orders"]
    orders["full_document"] = "default"
    line.config.write_text(json.dumps(config))
    process = line.catch_up()
    assert process.wait() == ExitCode.USAGE
    assert "mongodb.connections.main.sources.orders.full_document" in process.stderr


def test_the_guide(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its configuration makes the statement that it shows."""
    guide = (ROOT / "docs" / "guide" / "bigquery.md").read_text()
    (config,) = blocks(guide, "yaml")
    (statement,) = blocks(guide, "sql")
    monkeypatch.setenv("MONGODB_URI", line.mongod.uri)
    monkeypatch.setenv("GCP_PROJECT_ID", "some-project")
    line.config.write_text(config)
    printed = setup(line, "--dry-run")
    assert printed.wait() == ExitCode.CLEAN
    assert statement.strip() in printed.stdout
