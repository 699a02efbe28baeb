"""Writes that tests can account for."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from pymongo import InsertOne, UpdateOne, WriteConcern
from pymongo.errors import BulkWriteError, ConnectionFailure

if TYPE_CHECKING:
    from pymongo.collection import Collection

_BATCH = 1000

# Each waits for a primary, for up to half a minute.
_MOST_ATTEMPTS = 20


class Orders:
    """Inserts and updates documents of a collection; `revision` counts the writes of each.

    Attributes:
        revisions: For each `_id` the number of its writes.
    """

    def __init__(self, collection: Collection[dict[str, Any]], *, size: int = 100) -> None:
        self._collection = collection.with_options(write_concern=WriteConcern(w="majority"))
        self._random = random.Random(collection.full_name)
        self._padding = "x" * size
        self.revisions: dict[int, int] = {}

    @property
    def written(self) -> int:
        """All writes so far: as many events are to come."""
        return sum(self.revisions.values())

    def write(self, changes: int, *, documents: int = 40) -> None:
        """Write this many changes: new documents up to `documents`, then updates of them."""
        for start in range(0, changes, _BATCH):
            count = min(_BATCH, changes - start)
            self._collection.bulk_write([self._change(documents) for _ in range(count)])

    def write_through_elections(self, changes: int) -> None:
        """The same while members come and go: pymongo itself makes a failed write again only once.

        One by one, so that it is known which change is to be made again: making it twice changes
        nothing.
        """
        for _ in range(changes):
            change = self._change(40)
            for _ in range(_MOST_ATTEMPTS):
                try:
                    self._collection.bulk_write([change])
                except ConnectionFailure:
                    continue
                except BulkWriteError:
                    # It was inserted although the answer was lost.
                    assert isinstance(change, InsertOne)
                break
            else:
                raise AssertionError("no primary took the write")

    def insert(self, count: int) -> None:
        """Insert this many new documents."""
        self.write(count, documents=len(self.revisions) + count)

    def _change(self, documents: int) -> InsertOne[dict[str, Any]] | UpdateOne:
        if len(self.revisions) < documents:
            number = len(self.revisions)
            self.revisions[number] = 1
            return InsertOne({"_id": number, "revision": 1, "padding": self._padding})
        number = self._random.randrange(len(self.revisions))
        self.revisions[number] += 1
        return UpdateOne({"_id": number}, {"$set": {"revision": self.revisions[number]}})
