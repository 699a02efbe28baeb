"""What the envelopes make of real changes arrives as they wrote it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.line import Line


def test_a_document_and_then_its_tombstone(line: Line) -> None:
    line.configure(pubsub={"envelope": "document", "attributes": ["operation"]})
    line.prepare()
    line.collection.insert_one({"_id": 7, "total": 9.5})
    line.collection.update_one({"_id": 7}, {"$set": {"total": 10.5}})
    line.collection.delete_one({"_id": 7})
    assert line.catch_up().wait() == 0
    inserted, updated, deleted = line.pubsub.messages()
    assert json.loads(inserted.data) == {"_id": 7, "total": 9.5}
    assert dict(inserted.attributes) == {"operation": "insert"}
    # Looked up when the event is read, the document is gone.
    for tombstone, operation in ((updated, "update"), (deleted, "delete")):
        assert tombstone.data == b""
        told = {"document_key": '{"_id":7}', "operation": operation}
        assert dict(tombstone.attributes) == told
    assert inserted.ordering_key == deleted.ordering_key


def test_updates_of_a_document_that_is_gone_can_be_dropped(line: Line) -> None:
    line.configure(
        source={"on_missing_document": "drop"}, pubsub={"envelope": "cloudevents_structured"}
    )
    line.prepare()
    line.collection.insert_one({"_id": 7})
    for revision in range(10):
        line.collection.update_one({"_id": 7}, {"$set": {"revision": revision}})
    line.collection.delete_one({"_id": 7})
    assert line.catch_up().wait() == 0
    types = [json.loads(message.data)["type"] for message in line.pubsub.messages()]
    assert types == ["mongo_gcp_stream.change.insert", "mongo_gcp_stream.change.delete"]
    assert line.collection.insert_one({"_id": 8}).acknowledged
    assert line.catch_up().wait() == 0
    assert len(line.pubsub.messages()) == 3
