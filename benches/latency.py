"""How long a change takes from its insert to its Publish."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import TYPE_CHECKING, Any, TypeAlias

import orders
from backlog import COLLECTION, DATABASE, position
from pymongo import DESCENDING, MongoClient
from scene import cluster_time

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pymongo.collection import Collection
    from scene import Scene

Stream: TypeAlias = "Callable[[Scene, Path, str], list[str]]"
"""The command that streams what comes after a token, until it is stopped."""

# The first inserts find a stream that is just opening; they are not counted.
_WARM_UP = 20


@dataclass(frozen=True)
class Latency:
    """From the moment before an insert to the moment when the fake took its message."""

    inserts_per_second: float
    """As asked for."""
    inserts: int
    p50_ms: float
    p99_ms: float
    insert_p50_ms: float
    """How much of it was the insert itself, until the majority had acknowledged it."""
    insert_p99_ms: float


def latency(scene: Scene, rate: float, seconds: float, stream: Stream) -> Latency:
    """Inserts orders one by one (`w: majority`) while `stream` runs."""
    scene.begin()
    count = int(rate * seconds)
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        MongoClient[dict[str, Any]](scene.uri, w="majority") as client,
    ):
        collection = client[DATABASE][COLLECTION]
        command = stream(scene, Path(folder), position(collection))
        reader = subprocess.Popen(
            command, env=scene.env, stdout=subprocess.DEVNULL, start_new_session=True
        )
        try:
            _insert(collection, _WARM_UP, rate)
            scene.fake.wait(messages=_WARM_UP, timeout_ms=60_000)
            inserts = _insert(collection, count, rate)
            scene.fake.wait(messages=_WARM_UP + count, timeout_ms=60_000)
        finally:
            _stop(reader)
    # One writer, so the order of cluster times is the order of its inserts.
    arrived = sorted((cluster_time(m), m.committed_ms / 1000) for m in scene.fake.messages())
    if len(arrived) != _WARM_UP + count:
        raise RuntimeError(f"{_WARM_UP + count} inserts gave {len(arrived)} messages")
    pairs = zip(arrived[_WARM_UP:], inserts, strict=True)
    p50, p99 = _percentiles([took - before for (_, took), (before, _) in pairs])
    insert_p50, insert_p99 = _percentiles([after - before for before, after in inserts])
    return Latency(rate, count, p50, p99, insert_p50, insert_p99)


def _insert(
    collection: Collection[dict[str, Any]], count: int, rate: float
) -> list[tuple[float, float]]:
    """Inserts at a steady rate; returns when each insert began and ended, by the wall clock."""
    newest = collection.find_one(sort=[("_id", DESCENDING)])
    first = newest["number"] + 1 if newest else 0
    times = []
    began = time.monotonic()
    for number in range(count):
        time.sleep(max(0.0, began + number / rate - time.monotonic()))
        order = orders.order(first + number)
        before = time.time()
        collection.insert_one(order)
        times.append((before, time.time()))
    return times


def end_session(leader: subprocess.Popen[Any]) -> None:
    """Ends a process that has a session of its own, and what it has started."""
    with suppress(ProcessLookupError):
        os.killpg(leader.pid, signal.SIGKILL)
    leader.wait()


def _stop(reader: subprocess.Popen[bytes]) -> None:
    reader.terminate()
    try:
        reader.wait(timeout=60)
    finally:
        end_session(reader)
    if reader.returncode != 0:
        raise RuntimeError(f"the stream ended with {reader.returncode} instead of 0")


def _percentiles(seconds: Sequence[float]) -> tuple[float, float]:
    """Median and 99th percentile, in milliseconds."""
    cuts = quantiles(seconds, n=100, method="inclusive")
    return cuts[49] * 1000, cuts[98] * 1000
