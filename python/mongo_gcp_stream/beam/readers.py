"""Readers that stay open between two bundles of a stream."""

from __future__ import annotations

import atexit
import dataclasses
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from apache_beam.utils.timestamp import Duration

from mongo_gcp_stream._core import Sources

if TYPE_CHECKING:
    from mongo_gcp_stream._core import Slices
    from mongo_gcp_stream.beam.restriction import Position
    from mongo_gcp_stream.beam.settings import Settings

IDLE_SECONDS = 60.0
"""How long a reader that nobody takes stays open."""

MOST = 256
"""Readers that stay open at the most; each has read up to `flow.bytes_in_flight` ahead.

More streams than that in one process are opened again with each bundle.
"""

_FIRST_DELAY_MICROS, _LAST_DELAY_MICROS, _STEP_MICROS = 50_000, 100_000, 5_000


class Key(NamedTuple):
    """Whose reader it is, and where exactly it stands: before the next unread event."""

    pipeline: str
    stream: str
    position: Position


@dataclasses.dataclass
class Reader:
    """A stream that is open.

    Attributes:
        slices: What comes of it.
        empty: Bundles in a row that found nothing.
    """

    slices: Slices
    empty: int = 0

    def delay(self, taken: int) -> Duration | None:
        """When to look again after a bundle that has taken so many events; `None` for at once.

        The longer a stream is idle, the less often it is looked at.
        """
        self.empty = 0 if taken else self.empty + 1
        if taken:
            return None
        micros = _FIRST_DELAY_MICROS + _STEP_MICROS * (self.empty - 1)
        return Duration(micros=min(micros, _LAST_DELAY_MICROS))


class _Kept(NamedTuple):
    position: Position
    reader: Reader
    since: float


class Readers:
    """Who takes a reader owns it, and gives it back under the position that it defers.

    A bundle that is tried again, a zombie or a split asks for another position than the reader was
    left at: then there is none, and a new one is opened. One reader is kept for each stream.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, str], _Kept] = {}
        self._janitor: threading.Timer | None = None

    def __len__(self) -> int:
        return len(self._kept)

    def take(self, key: Key) -> Reader | None:
        """The reader that was left at this position, which is now the caller's."""
        with self._lock:
            kept = self._kept.get((key.pipeline, key.stream))
            if kept is None or kept.position != key.position:
                return None
            return self._kept.pop((key.pipeline, key.stream)).reader

    def give_back(self, key: Key, reader: Reader) -> None:
        """Keep a reader for whoever goes on at this position."""
        with self._lock:
            # The one that is kept longest comes first.
            self._kept.pop((key.pipeline, key.stream), None)
            kept = _Kept(key.position, reader, time.monotonic())
            self._kept[key.pipeline, key.stream] = kept
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

_sources: dict[tuple[Settings, bool], Sources] = {}
_sources_lock = threading.Lock()


def sources_of(settings: Settings, *, follow: bool) -> Sources:
    """The sources of a configuration, with their connections: one for all bundles.

    One for all pipelines of this process, too: a checkpoint in a file is locked for one of them.
    """
    with _sources_lock:
        sources = _sources.get((settings, follow))
        if sources is None:
            sources = _sources[settings, follow] = Sources(settings.resolved(), follow=follow)
        return sources
