"""How fast this machine is right now: what counting the backlog with plain pymongo costs.

Machines of the cloud differ, and so do the hours of one machine. The same loop is measured beside
the floors in `docs/performance.md`, so a figure can be read as a multiple of it.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

import measure
from backlog import COLLECTION, DATABASE
from pymongo import MongoClient

if TYPE_CHECKING:
    from backlog import Backlog
    from scene import Scene


def yardstick(scene: Scene, backlog: Backlog, *, timeout: float) -> float:
    """CPU time in µs an event, less that of the start-up."""
    events = len(backlog.documents)
    idle = measure.run(_command(scene, backlog, 0), scene.env, timeout)
    busy = measure.run(_command(scene, backlog, events), scene.env, timeout)
    return (busy.cpu_seconds - idle.cpu_seconds) / events * 1e6


def _command(scene: Scene, backlog: Backlog, events: int) -> list[str]:
    return [sys.executable, __file__, scene.uri, backlog.start, str(events)]


def main() -> None:
    """Counts as many events as asked for, then ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("uri")
    parser.add_argument("token", help="start after this resume token")
    parser.add_argument("events", type=int)
    arguments = parser.parse_args()
    client = MongoClient[dict[str, Any]](arguments.uri)
    collection = client[DATABASE][COLLECTION]
    with collection.watch(start_after={"_data": arguments.token}, batch_size=1000) as stream:
        for _ in range(arguments.events):
            next(stream)


if __name__ == "__main__":
    main()
