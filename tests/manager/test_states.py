"""State callbacks and health: what streams do is told, all of it."""

from __future__ import annotations

import asyncio
from typing import Any

from mongo_gcp_stream import AsyncMongoDBConnectionManager

from tests.support.reading import QUICK, STREAM, Shop, run, take, until


def test_states_that_pass_while_a_callback_is_awaited_are_told_later(shop: Shop) -> None:
    told: list[str] = []
    entered, finish = asyncio.Event(), asyncio.Event()

    async def slow(_stream: str, state: str) -> None:
        told.append(state)
        if state == "streaming":
            entered.set()
            await finish.wait()

    async def test() -> None:
        manager = AsyncMongoDBConnectionManager(shop.config())
        manager.register_state_callback(slow)
        async with manager:
            await manager.initialize_connections()
            await entered.wait()
            await manager.pause(STREAM)
            await manager.resume(STREAM)
            await until(lambda: manager.status[STREAM].active, "it streams again")
            finish.set()
        assert told == ["starting", "streaming", "paused", "starting", "streaming", "stopped"]

    run(test())


def test_the_last_source_may_go_and_others_come(shop: Shop) -> None:
    told: list[tuple[str, str]] = []

    async def test() -> None:
        manager = AsyncMongoDBConnectionManager(shop.config())
        manager.register_state_callback(lambda stream, state: told.append((stream, state)))
        async with manager:
            await manager.initialize_connections()
            assert await manager.remove_source(STREAM)
            await until(lambda: (STREAM, "removed") in told, "it was told")
            await manager.add_source("main", "users", shop.source("users"))
            await until(lambda: ("main.users", "streaming") in told, "the new one was told")
        assert told[-1] == ("main.users", "stopped")

    run(test())


def test_who_watches_hears_of_streams_after_all_others_have_failed(shop: Shop) -> None:
    config = shop.config(error_handling={**QUICK, "max_retries": 0})
    told: list[tuple[str, str]] = []

    async def refuses(_stream: str, _document: dict[str, Any]) -> bool:
        return False

    async def test() -> None:
        manager = AsyncMongoDBConnectionManager(config)
        manager.register_document_callback(refuses)
        manager.register_state_callback(lambda stream, state: told.append((stream, state)))
        async with manager:
            await manager.start_processing()
            shop.insert(1)
            await until(lambda: (STREAM, "failed") in told, "it was told")
            await manager.add_source("main", "users", shop.source("users"))
            await until(lambda: ("main.users", "streaming") in told, "the new one was told")

    run(test())


def test_the_watch_goes_on_in_another_loop(shop: Shop) -> None:
    told: list[str] = []
    manager = AsyncMongoDBConnectionManager(shop.config())
    manager.register_state_callback(lambda _stream, state: told.append(state))
    run(manager.initialize_connections())

    async def again() -> None:
        async with manager:
            await manager.initialize_connections()
            await manager.pause(STREAM)
            await until(lambda: "paused" in told, "it was told")

    run(again())
    assert told == ["starting", "streaming", "paused", "stopped"]


def test_a_stream_that_is_silent_for_too_long_is_not_healthy(shop: Shop) -> None:
    config = shop.config(monitoring={"max_inactivity_seconds": "200ms"})
    orders = config["mongodb"]["connections"]["main"]["sources"]["orders"]
    # The server may answer a getMore so late where nothing changes.
    orders["max_await_time_ms"] = 60_000

    async def test() -> None:
        async with AsyncMongoDBConnectionManager(config) as manager:
            await manager.initialize_connections()
            while (await manager.health())["status"] == "healthy":
                await asyncio.sleep(0.01)
            told = (await manager.health())["streams"][STREAM]
            assert told["state"] == "streaming"
            assert told["reason"].startswith("no reply of the server for")
            shop.insert(1)
            assert await take(manager, 1) == [1]

    run(test())


def test_the_names_of_the_original_are_there(shop: Shop) -> None:
    async def test() -> None:
        async with AsyncMongoDBConnectionManager(shop.config()) as manager:
            assert manager.streams[STREAM]["config"]["collection"] == "orders"
            assert manager.streams[STREAM]["last_processed"] is None
            assert manager.logger.name == "mongo_gcp_stream.manager"

            async def callback(_stream: str, _document: dict[str, Any]) -> bool:
                return True

            manager.register_document_callback(callback)
            await manager.start_processing()
            assert not manager.processing_tasks[STREAM].done()
            shop.insert(1)
            await until(lambda: manager.streams[STREAM]["last_processed"], "it was processed")

    run(test())
