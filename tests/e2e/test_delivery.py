"""Everything that happens arrives, once, in order, and says what it is."""

from __future__ import annotations

import json
import re
import signal
from typing import TYPE_CHECKING

import bson
import pytest
from mongo_gcp_stream import to_extended_json

from tests.support.runner import Process

if TYPE_CHECKING:
    from pathlib import Path

    from mongo_gcp_stream.testing import Mongod

    from tests.support.line import Line
    from tests.support.pubsub_fake import PubSubFake

#: The smallest file that a user writes; it has to go on working as it is.
SMALLEST = """\
mongodb:
  connections:
    main:
      uri: ${MONGODB_URI}
      sources:
        orders: {database: shop, collection: orders}
gcp:
  project_id: ${GCP_PROJECT_ID}
pubsub:
  topics:
    default: {name: shop-changes}
checkpoint:
  store: file
  path: ${STATE_DIR:-./state}
"""


def test_the_smallest_configuration_streams(
    tmp_path: Path, mongod: Mongod, pubsub: PubSubFake
) -> None:
    pubsub.create_topic("projects/some-project/topics/shop-changes")
    config = tmp_path / "config.yaml"
    config.write_text(SMALLEST)
    env = {
        "MONGODB_URI": mongod.uri,
        "GCP_PROJECT_ID": "some-project",
        "STATE_DIR": str(tmp_path / "state"),
        "PUBSUB_EMULATOR_HOST": pubsub.grpc_address,
    }
    arguments = ("run", "--config", str(config), "--until-caught-up")
    with Process(*arguments, env=env) as first:
        assert first.wait() == 0, first.stderr
    with mongod.client() as client:
        client.shop.orders.insert_one({"_id": 1, "total": 12})
        client.shop.other.insert_one({"_id": 2})
    with Process(*arguments, env=env) as second:
        assert second.wait() == 0, second.stderr
    (message,) = pubsub.messages()
    assert json.loads(message.data)["fullDocument"] == {"_id": 1, "total": 12}
    assert (tmp_path / "state" / "main.orders.json").is_file()


def test_a_message_is_the_event_and_says_what_it_is(line: Line) -> None:
    line.prepare()
    line.collection.insert_one({"_id": 7, "big": 2**40, "half": 0.5})
    line.collection.delete_one({"_id": 7})
    assert line.catch_up().wait() == 0
    inserted, deleted = line.pubsub.messages()
    event = json.loads(inserted.data)
    assert event["operationType"] == "insert"
    assert event["fullDocument"] == {"_id": 7, "big": 2**40, "half": 0.5}
    attributes = dict(inserted.attributes)
    assert re.fullmatch(r"[0-9a-f]{32}", attributes.pop("event_id"))
    assert re.fullmatch(r"\d+\.\d+", attributes.pop("cluster_time"))
    assert attributes == {
        "operation": "insert",
        "namespace": f"{line.database}.orders",
        "connection_id": "main",
        "source_name": "orders",
        "full_document": "image",
        "content_type": "application/json",
    }
    assert deleted.attributes["operation"] == "delete"
    assert deleted.attributes["full_document"] == "deleted"
    assert inserted.ordering_key == deleted.ordering_key
    assert re.fullmatch(r"main\.orders/\d+", inserted.ordering_key)


def test_message_data_is_what_to_extended_json_gives(line: Line) -> None:
    line.prepare()
    document = {"_id": 1, "n": bson.Int64(5), "d": bson.Decimal128("1.20"), "x": [None, True]}
    line.collection.insert_one(document)
    assert line.catch_up().wait() == 0
    (message,) = line.pubsub.messages()
    assert to_extended_json(bson.encode(document)) in message.data


@pytest.mark.parametrize("ordering", ["lanes", "document", "none"])
def test_every_event_arrives_once(line: Line, ordering: str) -> None:
    line.configure(pubsub={"ordering": ordering})
    line.prepare()
    orders = line.orders()
    orders.write(2000)
    assert line.catch_up().wait() == 0
    ids = line.event_ids()
    assert len(ids) == len(set(ids)) == orders.written
    if ordering != "none":
        line.assert_delivered(orders)


def test_nothing_is_lost_of_what_is_written_while_it_streams(line: Line) -> None:
    """The original lost events silently from ten a second on."""
    orders = line.orders()
    line.prepare()
    with line.run() as process:
        for _ in range(10):
            orders.write(200)
        line.wait_until_delivered(orders)
        process.signal(signal.SIGTERM)
        assert process.wait() == 0, process.stderr
    line.assert_delivered(orders)


def test_runs_until_caught_up_leave_no_gap_between_them(line: Line) -> None:
    orders = line.orders()
    line.prepare()
    for _ in range(3):
        orders.write(50)
        assert line.catch_up().wait() == 0
        line.assert_delivered(orders)
    assert line.delivered() == orders.written


def test_an_idle_stream_catches_up(line: Line) -> None:
    line.configure(source={"pipeline": [{"$match": {"operationType": "none such"}}]})
    line.orders().write(10)
    assert line.catch_up().wait() == 0
    assert line.catch_up().wait() == 0
    assert line.delivered() == 0


@pytest.mark.parametrize(
    "source",
    [
        pytest.param({"collection": None}, id="database"),
        pytest.param(
            {"scope": "deployment", "database": None, "collection": None}, id="deployment"
        ),
    ],
)
def test_wider_scopes(line: Line, source: dict[str, str | None]) -> None:
    line.configure(source=source)
    line.prepare()
    line.client[line.database].carts.insert_one({"_id": 1})
    line.collection.insert_one({"_id": 1})
    assert line.catch_up().wait() == 0
    namespaces = {message.attributes["namespace"] for message in line.pubsub.messages()}
    ours = {name for name in namespaces if name.startswith(f"{line.database}.")}
    assert ours == {f"{line.database}.carts", f"{line.database}.orders"}


def test_an_event_has_the_same_id_and_key_in_every_replay(line: Line) -> None:
    line.prepare()
    position = line.checkpoint.read_bytes()
    line.orders().write(20)
    assert line.catch_up().wait() == 0
    line.checkpoint.write_bytes(position)
    assert line.catch_up().wait() == 0
    messages = list(line.pubsub.messages())
    assert len(messages) == 40
    by_id: dict[str, set[str]] = {}
    for message in messages:
        by_id.setdefault(message.attributes["event_id"], set()).add(message.ordering_key)
    assert len(by_id) == 20
    assert all(len(keys) == 1 for keys in by_id.values())
