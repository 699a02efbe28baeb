"""One drain of the backlog by one reader, measured and checked."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import measure
from account import settle

if TYPE_CHECKING:
    from backlog import Backlog
    from readers import Reader
    from scene import Scene


@dataclass(frozen=True)
class Drain:
    """What one drain took."""

    reader: str
    events: int
    cpu_us_per_event: float
    """User and system time of the process, less that of its start-up, an event."""
    startup_cpu_seconds: float
    """The same of a run that finds nothing to publish."""
    events_per_second: float
    """From the first to the last request that the fake took."""
    peak_rss_mb: float
    requests: int
    messages_per_request: float


class DrainError(Exception):
    """Events were lost, published twice or out of order, or a request mixed ordering keys."""


def drain(
    scene: Scene, reader: Reader, backlog: Backlog, *, timeout: float, delay_ms: int = 0
) -> Drain:
    """Drains nothing, then the backlog, and settles the account.

    Raises:
        DrainError: The account does not balance.
        RuntimeError: The reader failed, or took longer than `timeout` seconds.
    """
    events = len(backlog.documents)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        nothing = reader.command(scene, Path(folder), backlog.end, 0)
        idle = measure.run(nothing, scene.env, timeout)
        scene.begin(delay_ms)
        everything = reader.command(scene, Path(folder), backlog.start, events)
        busy = measure.run(everything, scene.env, timeout)
    stats = scene.fake.stats()
    account = settle(scene.fake.messages(), backlog.documents, stats["mixed_keys"])
    wrong = account._asdict()
    if not reader.ordered:
        del wrong["out_of_order"]  # it promises none
    if any(wrong.values()):
        raise DrainError(f"{reader.name}: {wrong}")
    seconds = max(stats["last_commit_ms"] - stats["first_commit_ms"], 1.0) / 1000
    return Drain(
        reader=reader.name,
        events=events,
        cpu_us_per_event=(busy.cpu_seconds - idle.cpu_seconds) / events * 1e6,
        startup_cpu_seconds=idle.cpu_seconds,
        events_per_second=events / seconds,
        peak_rss_mb=busy.peak_rss_bytes / 1e6,
        requests=stats["requests"],
        messages_per_request=stats["mean_messages"],
    )
