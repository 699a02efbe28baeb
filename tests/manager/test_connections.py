"""Connections and streams: brought up at once, each with its status, and cleaned up."""

from __future__ import annotations

import asyncio
import gc
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest
from mongo_gcp_stream import (
    AsyncMongoDBConnectionManager,
    ConfigError,
    MongoDBConnectionManager,
    StreamFailedError,
    StreamStatus,
)

from tests.support.reading import QUICK, STREAM, Shop, numbers, run, take, until

if TYPE_CHECKING:
    from mongo_gcp_stream.testing import Mongod


def test_streams_of_several_connections_are_read_in_parallel(shop: Shop) -> None:
    config = shop.config("orders", "users")
    again = {"uri": shop.mongod.uri, "sources": {"orders": shop.source()}}
    config["mongodb"]["connections"]["other"] = again

    async def test() -> None:
        async with AsyncMongoDBConnectionManager(config) as manager:
            await manager.initialize_connections()
            assert {name: status.state for name, status in manager.status.items()} == dict.fromkeys(
                ("main.orders", "main.users", "other.orders"), "streaming"
            )
            # What is written after the connections are there is read.
            shop.insert(1, 2)
            shop.insert(3, collection="users")
            streams = ("main.orders", 2), ("main.users", 1), ("other.orders", 2)
            taken = await asyncio.gather(*(take(manager, count, name) for name, count in streams))
            assert taken == [[1, 2], [3], [1, 2]]

    run(test())


def test_a_status_has_the_fields_of_the_original_and_ours(shop: Shop) -> None:
    async def test() -> None:
        async with AsyncMongoDBConnectionManager(shop.config()) as manager:
            before = manager.status[STREAM]
            assert isinstance(before, StreamStatus)
            assert (before.active, before.state, before.last_healthy) == (False, "starting", None)
            await manager.initialize_connections()
            shop.insert(1, 2, 3)
            assert await take(manager, 3) == [1, 2, 3]
            now = manager.status[STREAM]
            assert (now.connection_id, now.source_name) == ("main", "orders")
            assert now.active
            assert (now.retry_count, now.total_errors, now.last_error) == (0, 0, None)
            assert now.last_error_time is None
            assert now.processed_changes == 3
            assert now.last_healthy is not None
            assert before.processed_changes == 0, "a status is that of its moment"
        assert manager.status[STREAM].state == "stopped"

    run(test())


def test_statistics_are_plain_dicts_also_of_a_stream_that_never_opened(shop: Shop) -> None:
    """The original raised KeyError for a stream that failed to open."""
    config = shop.config(monitoring={"connection_timeout": 200})
    nowhere = {"uri": "mongodb://127.0.0.1:1/", "sources": {"lost": shop.source()}}
    config["mongodb"]["connections"]["nowhere"] = nowhere

    async def test() -> None:
        async with AsyncMongoDBConnectionManager(config) as manager:
            await manager.initialize_connections()
            shop.insert(1)
            await take(manager, 1)
            statistics = await manager.get_stream_statistics()
            assert statistics[STREAM]["active"]
            assert statistics[STREAM]["processed_changes"] == 1
            assert statistics[STREAM]["last_processed"] is not None
            assert statistics[STREAM]["errors"]["total"] == 0
            lost = statistics["nowhere.lost"]
            assert not lost["active"]
            assert lost["last_processed"] is None
            assert lost["errors"]["total"] >= 1
            assert "no server is available" in str(lost["errors"]["last_error"])
            health = await manager.health()
            assert health["status"] == "degraded"
            assert health["streams"][STREAM]["healthy"]
            assert "no server is available" in health["streams"]["nowhere.lost"]["reason"]

    run(test())


def test_a_connection_that_is_down_comes_up_later_and_holds_nobody_up(
    shop: Shop, own_mongod: Mongod
) -> None:
    config = shop.config(monitoring={"connection_timeout": 200})
    late = {"uri": own_mongod.uri, "sources": {"orders": shop.source()}}
    config["mongodb"]["connections"]["late"] = late
    own_mongod.stop()

    async def test() -> None:
        async with AsyncMongoDBConnectionManager(config) as manager:
            await manager.initialize_connections()
            assert manager.status[STREAM].state == "streaming"
            assert manager.status["late.orders"].state == "backing_off"
            shop.insert(1)
            assert await take(manager, 1) == [1]
            await asyncio.to_thread(own_mongod.start)
            await until(lambda: manager.status["late.orders"].active, "the connection came up")
            with own_mongod.client() as client:
                client[shop.database].orders.insert_one({"n": 7})
            assert await take(manager, 1, "late.orders") == [7]
            assert manager.status["late.orders"].total_errors >= 1

    run(test())


def test_state_transitions_are_told_in_their_order(shop: Shop) -> None:
    told: list[tuple[str, str]] = []

    async def tell(stream: str, state: str) -> None:
        told.append((stream, state))

    def breaks(_stream: str, _state: str) -> None:
        raise ValueError

    async def test() -> None:
        manager = AsyncMongoDBConnectionManager(shop.config())
        manager.register_state_callback(breaks)
        manager.register_state_callback(tell)
        async with manager:
            await manager.initialize_connections()
            await until(lambda: (STREAM, "streaming") in told, "it was told")
        assert told[-2:] == [(STREAM, "streaming"), (STREAM, "stopped")]

    run(test())


def test_a_wrong_configuration_is_refused_before_anything_is_connected(shop: Shop) -> None:
    config: dict[str, Any] = shop.config()
    config["mongodb"]["connections"]["main"]["sources"]["orders"]["batch_sise"] = 7
    for kind in (AsyncMongoDBConnectionManager, MongoDBConnectionManager):
        with pytest.raises(ConfigError, match="batch_size") as caught:
            kind(config)
        assert caught.value.path == "mongodb.connections.main.sources.orders.batch_sise"


def test_a_stream_that_does_not_exist_is_named(shop: Shop) -> None:
    async def test() -> None:
        async with AsyncMongoDBConnectionManager(shop.config()) as manager:
            with pytest.raises(ConfigError, match=r"main\.users"):
                manager.batches("main.users")

    run(test())


def test_the_retry_limit_ends_a_stream_and_its_consumer_hears_why(shop: Shop) -> None:
    """R29: with `max_retries` a stream fails for good; the others go on."""
    config = shop.config(
        monitoring={"connection_timeout": 100}, error_handling={**QUICK, "max_retries": 2}
    )
    nowhere = {"uri": "mongodb://127.0.0.1:1/", "sources": {"lost": shop.source()}}
    config["mongodb"]["connections"]["nowhere"] = nowhere

    async def test() -> None:
        async with AsyncMongoDBConnectionManager(config) as manager:
            await manager.initialize_connections()
            with pytest.raises(StreamFailedError, match="no server is available") as caught:
                async for _ in manager.batches("nowhere.lost"):
                    pass
            assert caught.value.stream_id == "nowhere.lost"
            assert "network access" in caught.value.hint
            status = manager.status["nowhere.lost"]
            assert (status.state, status.total_errors) == ("failed", 3)
            states = [state for _, state in status.transitions]
            assert states == ["starting", "backing_off", "failed"]
            shop.insert(1)
            assert await take(manager, 1) == [1]

    run(test())


def test_closing_leaves_no_task_and_no_connection(shop: Shop) -> None:
    """R23, R30 to R32: the pool is bounded, and all of it is given back."""
    admin = shop.client.admin

    def connections() -> int:
        return int(admin.command("serverStatus")["connections"]["current"])

    async def test() -> None:
        before = asyncio.all_tasks()
        config = shop.config(*(f"c{number}" for number in range(5)))
        idle = connections()
        manager = AsyncMongoDBConnectionManager(config)
        await manager.initialize_connections()
        # One for each stream, four more at the most, and the monitors'.
        assert connections() - idle <= 5 + 4 + 2
        iterators = [manager.batches(f"main.c{number}") for number in range(5)]
        waiting = [asyncio.ensure_future(batches.__anext__()) for batches in iterators]
        await asyncio.sleep(0)
        await manager.cleanup()
        await manager.close()
        ended = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(end, StopAsyncIteration) for end in ended), ended
        await until(lambda: connections() <= idle, "the connections were closed")
        assert asyncio.all_tasks() == before

    run(test())
    gc.collect()


def test_the_blocking_manager_reads_without_a_loop(shop: Shop) -> None:
    with MongoDBConnectionManager(shop.config(checkpoint=shop.stored())) as manager:
        manager.initialize_connections()
        shop.insert(1, 2, 3)
        first = next(manager.batches(STREAM, timeout=30))
        first.commit(1)
        with manager.changes(STREAM, timeout=30) as changes:
            assert numbers(list(islice(changes, 2))) == [2, 3], "what was committed is over"
        last = list(manager.batches(STREAM, timeout=0.05))
        assert [len(batch) for batch in last] == [1], "the loop ends where nothing comes"
        assert manager.health()["status"] == "healthy"
        assert manager.get_stream_statistics()[STREAM]["state"] == "streaming"
        assert manager.pause(STREAM, timeout=30)
        assert manager.status[STREAM].state == "paused"
        manager.resume(STREAM)
