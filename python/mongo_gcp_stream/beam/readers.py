"""Readers that stay open between two bundles, one for each position that a stream was left at."""

from __future__ import annotations

import atexit
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from mongo_gcp_stream._core import Sources

if TYPE_CHECKING:
    from mongo_gcp_stream._core import Slices
    from mongo_gcp_stream.beam.restriction import Position
    from mongo_gcp_stream.beam.settings import Settings

IDLE_SECONDS = 60.0
"""How long a reader that nobody takes stays open."""

MOST = 64
"""Readers that stay open at the most; each has read up to two replies of 16 MiB ahead."""


class Key(NamedTuple):
    """Which reader it is, exactly: the one that stands before the next unread event."""

    pipeline: str
    stream: str
    position: Position


class _Kept(NamedTuple):
    reader: Slices
    since: float


class Readers:
    """Who takes a reader owns it, and gives it back under the position that it defers.

    A bundle that is tried again, a zombie or a split asks for another position than the reader was
    left at: then there is none, and a new one is opened.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[Key, _Kept] = {}
        self._janitor: threading.Timer | None = None

    def take(self, key: Key) -> Slices | None:
        """The reader that was left at this position, which is now the caller's."""
        with self._lock:
            kept = self._kept.pop(key, None)
        return kept.reader if kept else None

    def give_back(self, key: Key, reader: Slices) -> None:
        """Keep a reader for whoever goes on at this position."""
        with self._lock:
            self._kept[key] = _Kept(reader, time.monotonic())
            while len(self._kept) > MOST:
                self._kept.pop(next(iter(self._kept)))
            self._watch()

    def close(self) -> None:
        """Let all of them go."""
        with self._lock:
            self._kept.clear()
            if self._janitor:
                self._janitor.cancel()
                self._janitor = None

    def _watch(self) -> None:
        """See to it that what is idle goes, while anything is kept."""
        if self._janitor is None and self._kept:
            self._janitor = threading.Timer(IDLE_SECONDS, self._sweep)
            self._janitor.daemon = True
            self._janitor.start()

    def _sweep(self) -> None:
        with self._lock:
            before = time.monotonic() - IDLE_SECONDS
            idle = [key for key, kept in self._kept.items() if kept.since <= before]
            for key in idle:
                del self._kept[key]
            self._janitor = None
            self._watch()


READERS = Readers()
"""Those of this process."""

atexit.register(READERS.close)

_sources: dict[Settings, Sources] = {}
_sources_lock = threading.Lock()


def sources_of(settings: Settings) -> Sources:
    """The sources of a configuration, with their connections: one for all bundles."""
    with _sources_lock:
        sources = _sources.get(settings)
        if sources is None:
            sources = _sources[settings] = Sources(settings.resolved())
        return sources
