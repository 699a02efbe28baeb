"""AsyncMongoDBConnectionManager, explained.

Runs as it stands, on a MongoDB of its own: python cheat_sheets/connection_manager_explained.py
(`pip install 'mongo_gcp_stream[demo]'` brings one).
"""

from __future__ import annotations

import asyncio
import tempfile
from typing import Any

from mongo_gcp_stream import (
    AsyncMongoDBConnectionManager,
    ConfigError,
    MongoDBConnectionManager,
)
from mongo_gcp_stream.testing import Mongod

# ==== API ====
#
# AsyncMongoDBConnectionManager(config)
#     config: load_config("config.yaml"), a ConfigManager, or a mapping as in the file.
# await initialize_connections()
#     Connects all at once; never raises for a connection that is down: it is tried again.
# batches(stream_id), changes(stream_id)
#     `async for`; one consumer a stream. A stream is "<connection id>.<source name>".
# await batch.commit(), await batch.commit(count), change.commit()
#     What is committed is over; what is not comes again after the next start.
# register_document_callback(callback), register_batch_callback(callback), start_processing(),
# stop_processing()
#     The other way: coroutines that are called, and called again until they take the change.
# status, get_stream_statistics(), health(), register_state_callback(callback)
#     What each stream is doing.
# pause(stream_id), resume(stream_id), add_source(...), remove_source(stream_id)
#     At run time.
# cleanup(), close(), `async with`
#     Stops, stores positions, closes connections.


def configuration(uri: str, folder: str) -> dict[str, Any]:
    """Configuration patterns: what `config.yaml` holds, as a mapping."""
    return {
        "mongodb": {
            "connections": {
                # One connection, its default database, and two sources of it.
                "main": {
                    "uri": uri,
                    "database": "shop",
                    "sources": {
                        "orders": {"collection": "orders", "batch_size": 100},
                        # A source may name its own database and a pipeline of its own.
                        "large": {
                            "database": "shop",
                            "collection": "orders",
                            "pipeline": [{"$match": {"fullDocument.total": {"$gt": 100}}}],
                        },
                    },
                },
            }
        },
        # Without `checkpoint` positions are kept for the life of the manager only.
        "checkpoint": {"store": "file", "path": folder},
        "error_handling": {"max_retries": 3, "max_backoff": "1s"},
    }


# ==== Patterns ====


async def take_batches(config: dict[str, Any], mongod: Mongod) -> None:
    """A loop of your own: one buffer a batch, decoded only where it is looked at."""
    async with AsyncMongoDBConnectionManager(config) as manager:
        await manager.initialize_connections()
        with mongod.client() as client:
            client.shop.orders.insert_many([{"_id": n, "total": n * 50} for n in range(5)])
        async for batch in manager.batches("main.orders"):
            for change in batch:
                print(change.operation_type, change.document_key, change.full_document)
            await batch.commit()
            if manager.status["main.orders"].processed_changes == 5:
                break


async def take_changes(config: dict[str, Any]) -> None:
    """One by one: a change is committed when the next one is asked for."""
    async with AsyncMongoDBConnectionManager(config) as manager:
        await manager.initialize_connections()
        async for change in manager.changes("main.large"):
            print("large:", change.document_key, change.cluster_time)
            if change.document_key == {"_id": 4}:
                change.commit()  # the last one, since no next one is asked for
                break


async def be_called(config: dict[str, Any], mongod: Mongod) -> None:
    """Callbacks: False, or an exception, and the change comes again."""
    done = asyncio.Event()
    attempts = 0

    async def on_change(stream_id: str, document: dict[str, Any]) -> bool:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            return False  # not now: it is tried again, with backoff
        print("callback:", stream_id, document["operationType"], document["documentKey"])
        done.set()
        return True

    async with AsyncMongoDBConnectionManager(config) as manager:
        manager.register_document_callback(on_change)
        await manager.start_processing()
        with mongod.client() as client:
            client.shop.orders.insert_one({"_id": 5, "total": 10})
        await done.wait()
        await manager.stop_processing()
        statistics = await manager.get_stream_statistics()
        print("errors:", statistics["main.orders"]["errors"]["total"])


async def watch_over_them(config: dict[str, Any]) -> None:
    """Health, states, and streams that come and go."""
    manager = AsyncMongoDBConnectionManager(config)
    manager.register_state_callback(lambda stream, state: print("state:", stream, state))
    async with manager:
        await manager.initialize_connections()
        print("health:", (await manager.health())["status"])
        await manager.pause("main.orders")
        await manager.resume("main.orders")
        await manager.add_source("main", "users", {"collection": "users"})
        await manager.remove_source("main.users")


def without_a_loop(config: dict[str, Any], mongod: Mongod) -> None:
    """The same for plain Python; a thread for each stream, if you like."""
    with MongoDBConnectionManager(config) as manager:
        manager.initialize_connections()
        with mongod.client() as client:
            client.shop.orders.insert_one({"_id": 6, "total": 10})
        for batch in manager.batches("main.orders", timeout=1):
            print("blocking:", batch)
            batch.commit()


# ==== Best practices ====
#
# - Commit when the outcome is safe elsewhere, not before: delivery is at least once.
# - Make the outcome idempotent: `change.event_id` is the same each time a change comes.
# - Commit whole batches where you can; a commit a change costs more than the change.
# - Look at what you need: `change.full_document` decodes it, `change.raw` and `batch.payloads()`
#   hand bytes on.
# - Give `checkpoint` a store, or a restart begins with what happens after it.
# - A consumer that never commits stops reading at `flow.bytes_in_flight`: so memory is bounded.
# - Fork before the first use, never after it; with multiprocessing use "spawn".


def mistakes_are_told_before_anything_is_connected() -> None:
    """A wrong key names its path, and the nearest one that there is."""
    try:
        AsyncMongoDBConnectionManager({"mongodb": {"connections": {"main": {"urii": "?"}}}})
    except ConfigError as error:
        print("refused:", error.path)


async def all_of_it(mongod: Mongod) -> None:
    """Each pattern in turn."""
    with tempfile.TemporaryDirectory() as folder:
        config = configuration(mongod.uri, folder)
        await take_batches(config, mongod)
        await take_changes(config)
        await be_called(config, mongod)
        await watch_over_them(config)
        await asyncio.to_thread(without_a_loop, config, mongod)
    mistakes_are_told_before_anything_is_connected()


if __name__ == "__main__":
    with Mongod() as server:
        asyncio.run(all_of_it(server))
