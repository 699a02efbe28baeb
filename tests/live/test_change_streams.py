"""Real-time change streams of a real deployment (`pytest -m live`)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from mongo_gcp_stream import AsyncMongoDBConnectionManager

from tests.support.orders import Orders
from tests.support.reading import STREAM, run, take

if TYPE_CHECKING:
    from pathlib import Path

    from pymongo.database import Database

pytestmark = pytest.mark.live

CHANGES = 200


@pytest.fixture
def config(uri: str, database: Database[dict[str, Any]], tmp_path: Path) -> dict[str, Any]:
    """One source on the test's database, its positions in a file."""
    source = {"database": database.name, "collection": "orders", "batch_size": 50}
    return {
        "mongodb": {"connections": {"main": {"uri": uri, "sources": {"orders": source}}}},
        "checkpoint": {"store": "file", "path": str(tmp_path), "interval": "50ms"},
    }


def test_changes_come_as_they_happen(
    config: dict[str, Any], database: Database[dict[str, Any]]
) -> None:
    """R24, R25: each write of each document, and a deletion behind them."""
    orders = Orders(database.orders)

    async def test() -> None:
        async with AsyncMongoDBConnectionManager(config) as manager:
            await manager.initialize_connections()
            await asyncio.to_thread(orders.write, CHANGES)
            await asyncio.to_thread(database.orders.delete_one, {"_id": 0})
            revisions: dict[int, int] = {}
            async for change in manager.changes(STREAM):
                number = (change.document_key or {})["_id"]
                if change.operation_type == "delete":
                    assert revisions.pop(number) == orders.revisions[0]
                    break
                revisions[number] = revisions.get(number, 0) + 1
            del orders.revisions[0]
            assert revisions == orders.revisions

    run(test())


def test_a_reader_goes_on_where_it_stopped(
    config: dict[str, Any], database: Database[dict[str, Any]]
) -> None:
    """R26: what is committed does not come again, what was written meanwhile does come."""

    async def read(count: int, *numbers: int) -> list[int]:
        async with AsyncMongoDBConnectionManager(config) as manager:
            await manager.initialize_connections()
            documents = [{"n": number} for number in numbers]
            await asyncio.to_thread(database.orders.insert_many, documents)
            return await take(manager, count)

    assert run(read(2, 1, 2)) == [1, 2]
    database.orders.insert_one({"n": 3})
    assert run(read(2, 4)) == [3, 4]
