"""What reading the backlog from Python costs: ours against pymongo's asynchronous change stream.

Each way is a process of its own that reads the same events and ends; what a run for no events
costs is taken off.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import measure
from backlog import COLLECTION, DATABASE
from mongo_gcp_stream import AsyncMongoDBConnectionManager
from pymongo import AsyncMongoClient

if TYPE_CHECKING:
    from backlog import Backlog
    from scene import Scene

#: The ways, and of how many events in a row one's document is decoded; 0: of none.
WAYS = {
    "async for batch, nothing decoded": ("ours", 0),
    "async for batch, every second document decoded": ("ours", 2),
    "async for batch, every document decoded": ("ours", 1),
    "pymongo's AsyncMongoClient, which decodes all": ("pymongo", 1),
}


@dataclass(frozen=True)
class Read:
    """What one way took."""

    way: str
    cpu_us_per_event: float
    """User and system time, less that of the start-up."""
    peak_rss_mb: float


def read(scene: Scene, backlog: Backlog, way: str, *, timeout: float) -> Read:
    """Reads nothing, then the backlog.

    Raises:
        RuntimeError: It failed, or took longer than `timeout` seconds.
    """
    events = len(backlog.documents)
    idle = measure.run(_command(scene, backlog, way, 1), scene.env, timeout)
    busy = measure.run(_command(scene, backlog, way, events), scene.env, timeout)
    cost = (busy.cpu_seconds - idle.cpu_seconds) / (events - 1) * 1e6
    return Read(way, cost, busy.peak_rss_bytes / 1e6)


def _command(scene: Scene, backlog: Backlog, way: str, events: int) -> list[str]:
    reader, every = WAYS[way]
    arguments = [scene.uri, backlog.start, str(events), reader, str(every)]
    return [sys.executable, __file__, *arguments]


async def _ours(uri: str, token: str, events: int, every: int) -> None:
    source = {
        "database": DATABASE,
        "collection": COLLECTION,
        "batch_size": 1000,
        "startup": {"token": token},
    }
    config = {"mongodb": {"connections": {"main": {"uri": uri, "sources": {"orders": source}}}}}
    seen = 0
    async with AsyncMongoDBConnectionManager(config) as manager:
        await manager.initialize_connections()
        async for batch in manager.batches("main.orders"):
            if every:
                for index in range(0, len(batch), every):
                    assert batch[index].full_document
            seen += len(batch)
            batch.commit()
            if seen >= events:
                break


async def _pymongo(uri: str, token: str, events: int) -> None:
    async with AsyncMongoClient[dict[str, Any]](uri) as client:
        collection = client[DATABASE][COLLECTION]
        async with await collection.watch(start_after={"_data": token}, batch_size=1000) as stream:
            for _ in range(events):
                assert (await stream.next())["fullDocument"]


def main() -> None:
    """Reads as many events as asked for, then ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("uri")
    parser.add_argument("token", help="start after this resume token")
    parser.add_argument("events", type=int)
    parser.add_argument("reader", choices=("ours", "pymongo"))
    parser.add_argument("every", type=int)
    arguments = parser.parse_args()
    reading = (arguments.uri, arguments.token, arguments.events)
    if arguments.reader == "ours":
        asyncio.run(_ours(*reading, arguments.every))
    else:
        asyncio.run(_pymongo(*reading))


if __name__ == "__main__":
    main()
