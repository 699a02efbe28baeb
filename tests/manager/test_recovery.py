"""Outages: streams recover side by side, each from where it was."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest
from mongo_gcp_stream import AsyncMongoDBConnectionManager, ConfigError

from tests.support.reading import STREAM, Shop, run, take, until

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_streams_recover_in_parallel_after_the_server_was_away(own_shop: Shop) -> None:
    """R21, R28: two streams, a killed server, nothing lost and nothing out of order."""
    shop = own_shop
    names = ("orders", "users")

    async def test() -> None:
        async with AsyncMongoDBConnectionManager(shop.config(*names)) as manager:
            await manager.initialize_connections()
            for name in names:
                shop.insert(1, 2, collection=name)
            both = [take(manager, 2, f"main.{name}") for name in names]
            assert await asyncio.gather(*both) == [[1, 2]] * 2
            await asyncio.to_thread(shop.mongod.kill)
            streams = {f"main.{name}" for name in names}
            waits = {"backing_off"}
            await until(
                lambda: {manager.status[name].state for name in streams} == waits, "both noticed"
            )
            await asyncio.to_thread(shop.mongod.start)
            for name in names:
                shop.insert(3, 4, collection=name)
            both = [take(manager, 2, f"main.{name}") for name in names]
            assert await asyncio.gather(*both) == [[3, 4]] * 2
            await until(
                lambda: all(manager.status[name].active for name in streams), "both are well again"
            )
            for name in names:
                now = manager.status[f"main.{name}"]
                assert now.total_errors >= 1
                assert now.retry_count == 0
                assert "backing_off" in [state for _, state in now.transitions]

    run(test())


def test_a_lost_cursor_is_reopened_without_the_caller_noticing(shop: Shop) -> None:
    """R26: an error that the server calls resumable."""
    fail = {
        "mode": {"times": 2},
        "data": {
            "failCommands": ["getMore"],
            "errorCode": 43,
            "namespace": f"{shop.database}.orders",
        },
    }

    async def test() -> None:
        async with AsyncMongoDBConnectionManager(shop.config()) as manager:
            await manager.initialize_connections()
            shop.insert(1)
            assert await take(manager, 1) == [1]
            with _failing(shop, fail):
                await until(lambda: manager.status[STREAM].total_errors > 0, "the server failed")
            shop.insert(2, 3)
            assert await take(manager, 2) == [2, 3]

    run(test())


@contextlib.contextmanager
def _failing(shop: Shop, fail: dict[str, object]) -> Iterator[None]:
    shop.client.admin.command({"configureFailPoint": "failCommand", **fail})
    try:
        yield
    finally:
        shop.client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})


def test_pausing_keeps_the_position_and_resuming_goes_on(shop: Shop) -> None:
    async def test() -> None:
        async with AsyncMongoDBConnectionManager(shop.config("orders", "users")) as manager:
            await manager.initialize_connections()
            shop.insert(1)
            assert await take(manager, 1) == [1]
            await manager.pause(STREAM)
            assert manager.status[STREAM].state == "paused"
            shop.insert(2, 3)
            shop.insert(7, collection="users")
            assert await take(manager, 1, "main.users") == [7]
            waiting = asyncio.ensure_future(take(manager, 2))
            await asyncio.sleep(0)
            await manager.resume(STREAM)
            assert await waiting == [2, 3]

    run(test())


def test_sources_come_and_go_while_others_run(shop: Shop) -> None:
    config = shop.config(checkpoint=shop.stored())

    async def test() -> None:
        async with AsyncMongoDBConnectionManager(config) as manager:
            await manager.initialize_connections()
            assert await manager.add_source("main", "users", shop.source("users")) == "main.users"
            shop.insert(1, collection="users")
            assert await take(manager, 1, "main.users") == [1]
            waiting = asyncio.ensure_future(take(manager, 1, "main.users"))
            await asyncio.sleep(0)
            assert await manager.remove_source("main.users")
            assert not await manager.remove_source("main.users")
            assert await waiting == []
            assert list(manager.status) == [STREAM]
            # Under the same name again: it goes on from its position.
            shop.insert(2, collection="users")
            await manager.add_source("main", "users", shop.source("users"))
            assert await take(manager, 1, "main.users") == [2]
            shop.insert(3)
            assert await take(manager, 1) == [3]

    run(test())


def test_a_source_that_cannot_be_is_refused_and_leaves_the_others_alone(shop: Shop) -> None:
    async def test() -> None:
        async with AsyncMongoDBConnectionManager(shop.config()) as manager:
            await manager.initialize_connections()
            wrong = [
                ("main", "orders", shop.source(), "main.orders"),
                ("main", "users", shop.source(batch_sise=1), "batch_sise"),
                ("other", "users", shop.source(), "mongodb.connections.other"),
            ]
            for connection, name, source, told in wrong:
                with pytest.raises(ConfigError, match=told):
                    await manager.add_source(connection, name, source)
            assert list(manager.status) == [STREAM]
            shop.insert(1)
            assert await take(manager, 1) == [1]

    run(test())
