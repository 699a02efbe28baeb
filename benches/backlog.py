"""What the readers drain: the same events for each of them, written before any of them starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orders
from pymongo import MongoClient, ReplaceOne

if TYPE_CHECKING:
    from pymongo.collection import Collection

Document = dict[str, Any]

DATABASE = "shop"
COLLECTION = "orders"

# One order in twenty is replaced shortly after it was placed: the order of a document's events can
# only be checked where a document has more than one.
_CHUNK = 1000
_REPLACED = 50


@dataclass(frozen=True)
class Backlog:
    """A stretch of the change stream, between two positions."""

    documents: list[int]
    """For each event, in stream order, the number of the order that it belongs to."""
    start: str
    """`_data` of the resume token directly before its first event."""
    end: str
    """`_data` of a resume token after its last event: an empty backlog begins here."""


def write(uri: str, events: int) -> Backlog:
    """Empties the collection and writes orders until there are `events` new change events."""
    with MongoClient[Document](uri, w="majority") as client:
        collection = client[DATABASE][COLLECTION]
        collection.drop()
        client[DATABASE].create_collection(COLLECTION)
        start = position(collection)
        documents: list[int] = []
        while len(documents) < events:
            size = min(_CHUNK, events - len(documents))
            documents += _write_chunk(collection, documents[-1] + 1 if documents else 0, size)
        return Backlog(documents, start, position(collection))


def position(collection: Collection[Document]) -> str:
    """`_data` of the resume token of now."""
    with collection.watch() as stream:
        token = stream.resume_token
    assert token is not None, "the server sends no post-batch resume tokens"
    return str(token["_data"])


def _write_chunk(collection: Collection[Document], first: int, events: int) -> list[int]:
    replaced = events * _REPLACED // _CHUNK
    numbers = list(range(first, first + events - replaced))
    again = numbers[len(numbers) - replaced :]
    collection.insert_many([orders.order(number) for number in numbers])
    if again:
        changed = [orders.shipped(number) for number in again]
        collection.bulk_write([ReplaceOne({"_id": order["_id"]}, order) for order in changed])
    return numbers + again
