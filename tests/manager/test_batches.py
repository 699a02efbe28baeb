"""Batches, changes and commits: what is committed is over, what is not comes again."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import pickle
from typing import Any

import bson
import pytest
from bson import Decimal128, Int64, ObjectId
from mongo_gcp_stream import AsyncMongoDBConnectionManager, ChangeBatch, ChangeEvent

from tests.support.reading import STREAM, Shop, numbers, run, take, until


def test_the_position_moves_over_the_contiguous_prefix(shop: Shop) -> None:
    """A later batch that is committed before an earlier one comes again after a restart."""
    config = shop.config(checkpoint=shop.stored())
    config["mongodb"]["connections"]["main"]["sources"]["orders"]["batch_size"] = 2

    async def first() -> None:
        async with AsyncMongoDBConnectionManager(config) as manager:
            await manager.initialize_connections()
            shop.insert(1, 2, 3, 4)
            batches = manager.batches(STREAM)
            one, two = await batches.__anext__(), await batches.__anext__()
            assert await two.commit()
            assert await one.commit(1)

    async def second() -> list[int]:
        async with AsyncMongoDBConnectionManager(config) as manager:
            await manager.initialize_connections()
            return await take(manager, 3)

    run(first())
    assert run(second()) == [2, 3, 4]


def test_what_was_committed_does_not_come_again_after_a_restart(shop: Shop) -> None:
    config = shop.config(checkpoint=shop.stored())

    async def once(*insert: int, expect: int) -> list[int]:
        async with AsyncMongoDBConnectionManager(config) as manager:
            await manager.initialize_connections()
            if insert:
                shop.insert(*insert)
            return await take(manager, expect)

    assert run(once(1, 2, 3, expect=3)) == [1, 2, 3]
    shop.insert(4, 5)
    assert run(once(6, expect=3)) == [4, 5, 6]


def test_a_stream_has_one_consumer_and_the_next_gets_what_was_left(shop: Shop) -> None:
    async def test() -> None:
        async with AsyncMongoDBConnectionManager(shop.config()) as manager:
            await manager.initialize_connections()
            shop.insert(1, 2, 3)
            batches = manager.batches(STREAM)
            for other in (manager.batches, manager.changes):
                with pytest.raises(RuntimeError, match="has a consumer already"):
                    other(STREAM)
            batch = await batches.__anext__()
            await batches.aclose()
            assert await take(manager, 1) == [1]
            assert await take(manager, 2, commit=False) == [2, 3]
            # Who had them first may still say that it is done with them.
            assert await batch.commit(3)
            shop.insert(4)
            assert await take(manager, 1) == [4]
            # Forgotten is as good as closed.
            del batches
            forgotten = manager.batches(STREAM)
            del forgotten
            manager.batches(STREAM)

    run(test())


def test_changes_are_committed_when_the_next_is_asked_for(shop: Shop) -> None:
    async def test() -> None:
        async with AsyncMongoDBConnectionManager(shop.config()) as manager:
            await manager.initialize_connections()
            shop.insert(1, 2, 3)
            taken = []
            async for change in manager.changes(STREAM):
                taken.append(change)
                if len(taken) == 2:
                    break
            assert numbers(taken) == [1, 2]
            # The second was given and no further one asked for: it comes again.
            assert await take(manager, 2) == [2, 3]

    run(test())


def test_cancelling_a_wait_loses_nothing(shop: Shop) -> None:
    async def test() -> None:
        async with AsyncMongoDBConnectionManager(shop.config()) as manager:
            await manager.initialize_connections()
            batches = manager.batches(STREAM)
            taken: list[int] = []
            for number in range(30):
                waiting = asyncio.ensure_future(batches.__anext__())
                # Cancelled at every stage: before it waits, while it waits, when it is ready.
                for _ in range(number % 3):
                    await asyncio.sleep(0.001)
                if number % 2:
                    await asyncio.to_thread(shop.insert, number)
                waiting.cancel()
                try:
                    batch = await waiting
                except asyncio.CancelledError:
                    continue
                taken += numbers(list(batch))
                batch.commit()
            while len(taken) < 15:
                batch = await batches.__anext__()
                taken += numbers(list(batch))
            assert taken == list(range(1, 30, 2))

    run(test())


def test_batches_are_not_larger_than_the_source_says(shop: Shop) -> None:
    """R16."""
    config = shop.config()
    config["mongodb"]["connections"]["main"]["sources"]["orders"]["batch_size"] = 10

    async def test() -> None:
        async with AsyncMongoDBConnectionManager(config) as manager:
            await manager.initialize_connections()
            shop.insert(*range(95))
            sizes: list[int] = []
            async for batch in manager.batches(STREAM):
                sizes.append(len(batch))
                batch.commit()
                if sum(sizes) == 95:
                    break
            assert max(sizes) == 10

    run(test())


async def _one_of_each(shop: Shop) -> list[ChangeEvent]:
    """An insert, an update and a delete of a document with many types."""
    config = shop.config()
    config["mongodb"]["connections"]["main"]["sources"]["orders"] |= {"full_document": "default"}
    async with AsyncMongoDBConnectionManager(config) as manager:
        await manager.initialize_connections()
        document = {
            "_id": ObjectId("65f1c2a00000000000000001"),
            "price": Decimal128("12.50"),
            "count": Int64(7),
            "nested": {"list": [1, {"deep": True}]},
        }
        shop.orders.insert_one(document)
        shop.orders.update_one({"_id": document["_id"]}, {"$set": {"nested.list": []}})
        shop.orders.delete_one({"_id": document["_id"]})
        changes: list[ChangeEvent] = []
        async for change in manager.changes(STREAM):
            changes.append(change)
            if len(changes) == 3:
                break
        return changes


def test_the_parts_of_a_change_are_of_the_types_that_pymongo_gives(shop: Shop) -> None:
    insert, update, delete = run(_one_of_each(shop))
    key = {"_id": ObjectId("65f1c2a00000000000000001")}
    assert [change.operation_type for change in (insert, update, delete)] == [
        "insert",
        "update",
        "delete",
    ]
    for change in (insert, update, delete):
        assert change.document_key == key
        assert (change.database, change.collection) == (shop.database, "orders")
        assert change.cluster_time is not None
        assert change.wall_time is not None
        assert abs(change.wall_time.timestamp() - change.cluster_time.time) < 60
        assert change.resume_token.keys() == {"_data"}
        whole = change.to_dict()
        assert bson.decode(change.raw) == whole
        assert whole["_id"] == change.resume_token
        assert whole["clusterTime"] == change.cluster_time
        assert json.loads(change.json())["operationType"] == change.operation_type
        assert len(change.event_id) == 32
    assert insert.full_document == {
        **key,
        "price": Decimal128("12.50"),
        "count": 7,
        "nested": {"list": [1, {"deep": True}]},
    }
    assert json.loads(insert.json("canonical"))["fullDocument"]["count"] == {"$numberLong": "7"}
    assert json.loads(insert.json("simplified"))["fullDocument"]["price"] == "12.50"
    assert (update.full_document, delete.full_document) == (None, None)
    assert update.update_description is not None
    assert update.update_description["updatedFields"] == {"nested.list": []}
    assert insert.update_description is None
    assert insert.full_document_before_change is None
    with pytest.raises(ValueError, match="mode must be"):
        insert.json("yaml")  # type: ignore[arg-type]


def test_a_batch_is_a_sequence_and_shows_no_value(shop: Shop) -> None:
    async def test() -> ChangeBatch:
        async with AsyncMongoDBConnectionManager(shop.config()) as manager:
            await manager.initialize_connections()
            shop.client[shop.database].orders.insert_many(
                [{"n": n, "s": "canary"} for n in range(3)]
            )
            batch = await manager.batches(STREAM).__anext__()
            assert bool(batch.commit())
            return batch

    batch = run(test())
    assert numbers(list(batch)) == [0, 1, 2]
    assert numbers([batch[-1], batch[0]]) == [2, 0]
    for index in (3, -4, 10**20):
        with pytest.raises((IndexError, OverflowError)):
            batch[index]
    assert batch.nbytes == sum(map(len, batch.raw()))
    assert [json.loads(payload) for payload in batch.payloads()] == [
        json.loads(change.json()) for change in batch
    ]
    shown = f"{batch!r} {batch[0]!r} {batch.commit()!r}"
    assert "canary" not in shown
    assert batch[0].event_id in shown
    # The manager is closed: its position moves no more.
    assert not batch.commit(1)
    for copied in (pickle.loads(pickle.dumps(batch)), copy.deepcopy(batch)):  # noqa: S301
        assert copied.raw() == batch.raw()
        # A copy is not what the manager delivered: it can commit nothing.
        assert not copied.commit()


def test_a_batch_becomes_an_arrow_table(shop: Shop) -> None:
    [batch] = run(_batches_of(shop, 3))
    table = batch.to_arrow()
    assert table.column_names == [
        "event_id",
        "operation_type",
        "database",
        "collection",
        "cluster_time",
        "document_key",
        "full_document",
        "event",
    ]
    assert table["operation_type"].to_pylist() == ["insert"] * 3
    assert [json.loads(text)["n"] for text in table["full_document"].to_pylist()] == [0, 1, 2]
    assert table["event"].to_pylist() == batch.raw()
    first = batch[0].cluster_time
    assert first is not None
    assert table["cluster_time"][0].as_py().timestamp() == first.time


async def _batches_of(shop: Shop, count: int) -> list[ChangeBatch]:
    async with AsyncMongoDBConnectionManager(shop.config()) as manager:
        await manager.initialize_connections()
        shop.insert(*range(count))
        return [await manager.batches(STREAM).__anext__()]


def test_who_never_commits_is_waited_for(shop: Shop) -> None:
    """Reading ends at `flow.bytes_in_flight`, and goes on with a commit: memory stays flat."""
    config: dict[str, Any] = shop.config(flow={"bytes_in_flight": "64KB"})

    async def test() -> None:
        async with AsyncMongoDBConnectionManager(config) as manager:
            await manager.initialize_connections()
            text = "x" * 1000
            shop.orders.insert_many([{"n": n, "text": text} for n in range(2000)])
            batches = manager.batches(STREAM)
            held = [await batches.__anext__()]
            with contextlib.suppress(asyncio.TimeoutError):
                while True:
                    held.append(await asyncio.wait_for(batches.__anext__(), 0.5))
            assert sum(batch.nbytes for batch in held) < 2000 * 1000
            taken = [number for batch in held for number in numbers(list(batch))]
            for batch in held:
                batch.commit()
            held.clear()
            while len(taken) < 2000:
                batch = await batches.__anext__()
                taken += numbers(list(batch))
                batch.commit()
            assert taken == list(range(2000))
            await until(lambda: manager.status[STREAM].in_flight == 0, "all is committed")

    run(test())
