"""How processing ends: by a callback, by what cannot be read, by a cancellation; and goes on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import bson
import pytest
from bson.datetime_ms import DatetimeMS
from bson.raw_bson import RawBSONDocument
from mongo_gcp_stream import AsyncMongoDBConnectionManager

from tests.support.reading import STREAM, Shop, run, take, until

if TYPE_CHECKING:
    from collections.abc import Callable

#: A millisecond after what `datetime` can say.
YEAR_10000 = 253402300800000


def _broken(number: int) -> RawBSONDocument:
    """A document with a string that is not UTF-8, which MongoDB takes."""
    document = bson.encode({"_id": number, "n": number, "text": "canary?"})
    return RawBSONDocument(document.replace(b"canary?", b"canary\xff"))


@pytest.mark.parametrize("end", ["stop_processing", "close"])
def test_a_callback_may_end_processing(shop: Shop, end: str) -> None:
    """What it was given then is the last; after `close`, which comes first, it comes again."""
    config = shop.config(checkpoint=shop.stored())
    taken: list[int] = []

    async def first() -> None:
        async with AsyncMongoDBConnectionManager(config) as manager:
            ended = asyncio.Event()

            async def three(_stream: str, document: dict[str, Any]) -> bool:
                taken.append(document["fullDocument"]["n"])
                if len(taken) == 3:
                    await getattr(manager, end)()
                    ended.set()
                return True

            manager.register_document_callback(three)
            await manager.start_processing()
            shop.insert(1, 2, 3, 4, 5)
            await ended.wait()

    async def second() -> list[int]:
        async with AsyncMongoDBConnectionManager(config) as manager:
            await manager.initialize_connections()
            return await take(manager, 2)

    run(first())
    assert taken == [1, 2, 3]
    assert run(second()) == ([4, 5] if end == "stop_processing" else [3, 4])


def test_a_cancelled_stop_is_made_up_for(shop: Shop) -> None:
    entered, finish = asyncio.Event(), asyncio.Event()
    ended: list[str] = []

    async def slow(_stream: str, _document: dict[str, Any]) -> bool:
        entered.set()
        await finish.wait()
        ended.append("callback")
        return True

    async def test() -> None:
        async with AsyncMongoDBConnectionManager(shop.config()) as manager:
            manager.register_document_callback(slow)
            await manager.start_processing()
            shop.insert(1)
            await entered.wait()
            for stop in (manager.stop_processing, lambda: manager.remove_source(STREAM)):
                stopping = asyncio.ensure_future(stop())
                await asyncio.sleep(0)
                stopping.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await stopping
            closing = asyncio.ensure_future(manager.close())
            await asyncio.sleep(0)
            assert not closing.done()
            finish.set()
            await closing
            assert ended == ["callback"]
            assert not manager.processing_tasks

    run(test())


def test_a_source_that_is_added_while_processing_is_processed(shop: Shop) -> None:
    """Also where none was left."""
    taken: list[tuple[str, int]] = []

    async def note(stream: str, document: dict[str, Any]) -> bool:
        taken.append((stream, document["fullDocument"]["n"]))
        return True

    async def test() -> None:
        async with AsyncMongoDBConnectionManager(shop.config()) as manager:
            manager.register_document_callback(note)
            await manager.start_processing()
            assert await manager.remove_source(STREAM)
            assert not manager.processing_tasks
            await manager.add_source("main", "users", shop.source("users"))
            shop.insert(1, collection="users")
            await until(lambda: taken == [("main.users", 1)], "it was taken")
            await manager.stop_processing()
            await manager.add_source("main", "orders", shop.source())
            assert not manager.processing_tasks

    run(test())


def test_what_cannot_be_read_ends_the_stream_as_failed(shop: Shop) -> None:
    taken: list[Any] = []

    async def note(_stream: str, document: dict[str, Any]) -> bool:
        taken.append(document["fullDocument"]["when"])
        return True

    async def test() -> None:
        async with AsyncMongoDBConnectionManager(shop.config()) as manager:
            manager.register_document_callback(note)
            await manager.start_processing()
            shop.orders.insert_one({"when": DatetimeMS(YEAR_10000)})
            await until(lambda: taken == [DatetimeMS(YEAR_10000)], "the year 10000 was taken")
            shop.orders.insert_one(_broken(1))
            await until(lambda: manager.status[STREAM].state == "failed", "it failed")
            told = str(manager.status[STREAM].last_error)
            assert "could not be handed over: InvalidBSON" in told
            assert "canary" not in told

    run(test())


def _raises() -> None:
    raise asyncio.CancelledError


def _cancels() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()


@pytest.mark.parametrize("cancel", [_raises, _cancels])
def test_a_cancellation_that_nobody_asked_for_fails_the_stream(
    shop: Shop, cancel: Callable[[], object]
) -> None:
    async def lets_it_through(_stream: str, _document: dict[str, Any]) -> bool:
        cancel()
        await asyncio.sleep(0)
        return True

    async def test() -> None:
        async with AsyncMongoDBConnectionManager(shop.config()) as manager:
            manager.register_document_callback(lets_it_through)
            await manager.start_processing()
            shop.insert(1)
            await until(lambda: manager.status[STREAM].state == "failed", "it failed")
            assert "was cancelled" in str(manager.status[STREAM].last_error)

    run(test())


def test_dates_beyond_datetime_are_in_tables_too(shop: Shop) -> None:
    async def test() -> None:
        async with AsyncMongoDBConnectionManager(shop.config()) as manager:
            await manager.initialize_connections()
            shop.orders.insert_one({"when": DatetimeMS(YEAR_10000)})
            batch = await manager.batches(STREAM).__anext__()
            document = batch[0].full_document
            assert document is not None
            assert document["when"] == DatetimeMS(YEAR_10000)
            assert str(YEAR_10000) in batch.to_arrow()["full_document"][0].as_py()

    run(test())
