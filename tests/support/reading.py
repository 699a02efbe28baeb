"""The surroundings of a test that reads from Python: a database of its own and configurations."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from tests.support.waiting import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from mongo_gcp_stream import AsyncMongoDBConnectionManager, ChangeEvent
    from mongo_gcp_stream.testing import Mongod
    from pymongo import MongoClient
    from pymongo.collection import Collection

T = TypeVar("T")

STREAM = "main.orders"

#: Failures are tried again within milliseconds.
QUICK = {"max_backoff": "20ms"}


class Shop:
    """One mongod, one database."""

    def __init__(self, mongod: Mongod, database: str, folder: Path) -> None:
        self.mongod = mongod
        self.database = database
        self.folder = folder
        self.client: MongoClient[dict[str, Any]] = mongod.client()

    @property
    def orders(self) -> Collection[dict[str, Any]]:
        """The collection of the stream `main.orders`."""
        return self.client[self.database].orders

    def source(self, collection: str = "orders", **keys: Any) -> dict[str, Any]:
        """What describes a source."""
        return {"database": self.database, "collection": collection, **keys}

    def config(self, *collections: str, **sections: Any) -> dict[str, Any]:
        """A configuration with a source for each collection, and the sections that are given."""
        sources = {name: self.source(name) for name in collections or ("orders",)}
        connection = {"uri": self.mongod.uri, "sources": sources}
        handling = {"error_handling": QUICK}
        return {"mongodb": {"connections": {"main": connection}}, **handling, **sections}

    def stored(self) -> dict[str, Any]:
        """The section `checkpoint` that keeps positions beyond the life of a manager."""
        return {"store": "file", "path": str(self.folder / "state"), "interval": "10ms"}

    def insert(self, *numbers: int, collection: str = "orders") -> None:
        """Insert a document for each number."""
        self.client[self.database][collection].insert_many([{"n": number} for number in numbers])


def numbers(changes: list[ChangeEvent]) -> list[int]:
    """The numbers of the documents that were inserted."""
    return [(change.full_document or {})["n"] for change in changes]


async def take(
    manager: AsyncMongoDBConnectionManager, count: int, stream: str = STREAM, *, commit: bool = True
) -> list[int]:
    """Take `count` inserts, one by one, and give the stream back."""
    taken: list[ChangeEvent] = []
    async with manager.changes(stream, auto_commit=False) as changes:
        async for change in changes:
            taken.append(change)
            if commit:
                change.commit()
            if len(taken) == count:
                break
    return numbers(taken)


async def until(look: Callable[[], T], what: str) -> T:
    """Look until what is seen is true, and return it.

    Raises:
        AssertionError: Not after `PATIENCE_SECONDS`.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE_SECONDS
    while not (seen := look()):
        assert loop.time() < deadline, f"never happened: {what}"
        await asyncio.sleep(0.005)
    return seen


def run(test: Coroutine[Any, Any, T]) -> T:
    """Run a test's coroutine in a loop of its own; what never ends is a failure."""

    async def bounded() -> T:
        return await asyncio.wait_for(test, PATIENCE_SECONDS)

    return asyncio.run(bounded())
