"""Pauses: nothing is handed over meanwhile, and nobody waits for what never comes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from mongo_gcp_stream import AsyncMongoDBConnectionManager, MongoDBConnectionManager

from tests.support.reading import STREAM, Shop, numbers, run, take, until


def test_callbacks_get_nothing_while_their_stream_is_paused(shop: Shop) -> None:
    """Neither the rest of the batch in hand nor the next; all of it comes after `resume`, once."""
    config = shop.config()
    config["mongodb"]["connections"]["main"]["sources"]["orders"]["batch_size"] = 3
    entered, finish = asyncio.Event(), asyncio.Event()
    calls: list[int] = []

    async def slow(_stream: str, document: dict[str, Any]) -> bool:
        calls.append(document["fullDocument"]["n"])
        entered.set()
        await finish.wait()
        return True

    async def test() -> None:
        async with AsyncMongoDBConnectionManager(config) as manager:
            manager.register_document_callback(slow)
            await manager.start_processing()
            shop.insert(*range(9))
            await entered.wait()
            await until(lambda: manager.status[STREAM].in_flight >= 6, "more is waiting")
            await manager.pause(STREAM)
            finish.set()
            # The other stream's first change: what would be handed over was, by then.
            await manager.add_source("main", "users", shop.source("users"))
            shop.insert(99, collection="users")
            await until(lambda: 99 in calls, "others go on")
            assert calls == [0, 99]
            await manager.resume(STREAM)
            await until(lambda: len(calls) == 11, "it goes on")
            assert calls[2:] == list(range(9))

    run(test())


def test_a_callback_that_fails_leaves_a_paused_stream_paused(shop: Shop) -> None:
    entered, finish, failed = asyncio.Event(), asyncio.Event(), asyncio.Event()
    taken: list[int] = []

    async def fails_once(_stream: str, document: dict[str, Any]) -> bool:
        if not failed.is_set():
            entered.set()
            await finish.wait()
            failed.set()
            return False
        taken.append(document["fullDocument"]["n"])
        return True

    async def test() -> None:
        async with AsyncMongoDBConnectionManager(shop.config()) as manager:
            manager.register_document_callback(fails_once)
            await manager.start_processing()
            shop.insert(1, 2)
            await entered.wait()
            await manager.pause(STREAM)
            finish.set()
            await failed.wait()
            await manager.pause(STREAM)
            assert manager.status[STREAM].state == "paused"
            await manager.resume(STREAM)
            await until(lambda: taken == [1, 2], "it goes on")
            states = [state for _, state in manager.status[STREAM].transitions]
            assert states == ["starting", "streaming", "paused", "starting", "streaming"]

    run(test())


def test_changes_end_with_their_line_and_come_again(shop: Shop) -> None:
    async def test() -> None:
        async with AsyncMongoDBConnectionManager(shop.config()) as manager:
            await manager.initialize_connections()
            shop.insert(1, 2, 3)
            changes = manager.changes(STREAM)
            first = await changes.__anext__()
            await manager.pause(STREAM)
            next_one = asyncio.ensure_future(changes.__anext__())
            await asyncio.sleep(0)
            assert not next_one.done()
            await manager.resume(STREAM)
            again = [await next_one, await changes.__anext__()]
            assert numbers([first, *again]) == [1, 1, 2]

    run(test())


def test_a_stream_that_was_not_started_is_at_rest_and_begins_paused(shop: Shop) -> None:
    async def test() -> None:
        async with AsyncMongoDBConnectionManager(shop.config()) as manager:
            await manager.pause(STREAM)
            await manager.initialize_connections()
            assert manager.status[STREAM].state == "paused"
            await manager.resume(STREAM)
            await until(lambda: manager.status[STREAM].active, "it begins")
            shop.insert(1)
            assert await take(manager, 1) == [1]

    run(test())
    with MongoDBConnectionManager(shop.config()) as blocking:
        assert blocking.pause(STREAM)


def test_who_waits_for_a_pause_hears_that_the_stream_is_gone_or_resumed(shop: Shop) -> None:
    config = shop.config(monitoring={"connection_timeout": 60_000})
    # It is never open, and so never at rest, as long as it tries to connect.
    nowhere = {"uri": "mongodb://127.0.0.1:1/", "sources": {"lost": shop.source()}}
    config["mongodb"]["connections"]["nowhere"] = nowhere

    async def test() -> None:
        async with AsyncMongoDBConnectionManager(config) as manager:
            opening = asyncio.ensure_future(manager.initialize_connections())
            await until(lambda: manager.status[STREAM].active, "the other is open")
            for end in (manager.resume, manager.remove_source):
                pausing = asyncio.ensure_future(manager.pause("nowhere.lost"))
                await asyncio.sleep(0)
                await end("nowhere.lost")
                await pausing
            await opening

    run(test())


def test_what_was_closed_before_it_began_does_not_begin(shop: Shop) -> None:
    async def test() -> None:
        manager = AsyncMongoDBConnectionManager(shop.config())
        await manager.cleanup()
        assert manager.status[STREAM].state == "stopped"
        with pytest.raises(RuntimeError, match="make a new one"):
            await manager.initialize_connections()
        await manager.cleanup()

    run(test())
    blocking = MongoDBConnectionManager(shop.config())
    blocking.cleanup()
    with pytest.raises(RuntimeError, match="make a new one"):
        blocking.initialize_connections()
