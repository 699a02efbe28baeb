"""A change stream in memory, for orders of events that a server cannot be made to produce."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import bson
from mongo_gcp_stream._core import position_time

if TYPE_CHECKING:
    from collections.abc import Callable

ClusterTime = tuple[int, int]


class Item(NamedTuple):
    """A change, or the server's no-op, which moves the position only."""

    time: ClusterTime
    number: int | None


class Batch(list[int]):
    """The numbers of changes."""

    nbytes = 1


class Slice(NamedTuple):
    """As the core's."""

    batch: Batch | None
    position: bytes
    time: ClusterTime
    done: bool = False
    catching_up: bool = False


def _position(time: ClusterTime) -> bytes:
    return bson.encode({"token": {"_data": f"82{time[0]:08x}{time[1]:08x}2B04"}})


@dataclass
class FakeStream:
    """What the server has, and `open` of the core's `Sources`.

    Attributes:
        earliest: Where a stream opens that has no position: before all, else after all.
        ready: How many slices come in time before one does not.
        moment: Called before and after each slice: what happens elsewhere at that moment.
        slice_ms: How long a slice takes to come.
        spent_ms: How long all slices took, and what did not come was waited for.
        stored: The checkpoint, where one follows.
        catching_up: Whether the replies that changes come in are full.
    """

    earliest: bool = False
    ready: int = 0
    moment: Callable[[], None] = field(default=lambda: None)
    items: list[Item] = field(default_factory=list)
    slice_ms: int = 0
    spent_ms: int = 0
    stored: bytes | None = None
    catching_up: bool = False

    def append(self, gap: int, *, change: bool = True) -> None:
        """Another change, or a no-op, `gap` seconds after the last one."""
        seconds, ordinal = self._time(len(self.items))
        number = len(self.items) if change else None
        self.items.append(Item((seconds + gap, ordinal + 1), number))

    def index(self, position: bytes) -> int:
        """How many items lie before a position."""
        time = position_time(position)
        return next(at for at in range(len(self.items) + 1) if self._time(at) == time)

    def open(
        self,
        stream: str,  # noqa: ARG002
        start: bytes | None,
        until: ClusterTime | None,
        resume: str | None,
    ) -> Slices:
        """As the core's: with `resume` a checkpoint is begun at, and stored where it opens."""
        start = start or (self.stored if resume else None)
        if start is not None:
            return Slices(self, self.index(start), until)
        slices = Slices(self, 0 if self.earliest else len(self.items), until)
        if resume:
            self.stored = self.after(slices.at)[0]
        return slices

    def _time(self, before: int) -> ClusterTime:
        """The time of the position that so many items lie before."""
        return self.items[before - 1].time if before else (1000, 0)

    def after(self, count: int) -> tuple[bytes, ClusterTime]:
        """The position that so many items lie before, and its time."""
        time = self._time(count)
        return _position(time), time


class Slices:
    """As the core's: the first slice tells where the stream opened."""

    def __init__(self, stream: FakeStream, at: int, until: ClusterTime | None) -> None:
        self._stream = stream
        self.at = at
        self._until = until
        self._opened = False

    def next(self, most: int, timeout_ms: int) -> Slice | None:
        """As the core's."""
        self._stream.moment()
        piece = self._next(most)
        self._stream.spent_ms += timeout_ms if piece is None else self._stream.slice_ms
        self._stream.moment()
        return piece

    def keep(self, position: bytes, *, moved: bool, last: bool) -> None:  # noqa: ARG002
        """As the core's: never back."""
        stream = self._stream
        if stream.stored is None or stream.index(stream.stored) < stream.index(position):
            stream.stored = position

    def _next(self, most: int) -> Slice | None:
        stream = self._stream
        if not stream.ready or (self._opened and self.at == len(stream.items)):
            return None
        stream.ready -= 1
        if not self._opened:
            self._opened = True
            return Slice(None, *stream.after(self.at))
        first = stream.items[self.at]
        if self._until and first.time > self._until:
            return Slice(None, *stream.after(self.at), done=True)
        if first.number is None:
            self.at += 1
            return Slice(None, *stream.after(self.at))
        return self._cut(first, most)

    def _cut(self, first: Item, most: int) -> Slice:
        """Changes of one second; where a no-op follows them, the position may lie behind it."""
        batch = Batch()
        for item in self._stream.items[self.at :]:
            if len(batch) == most or item.number is None or item.time[0] != first.time[0]:
                break
            batch.append(item.number)
        self.at += len(batch)
        time = self._stream.after(self.at)[1]
        rest = self._stream.items[self.at :]
        if rest and rest[0].number is None and not self._until:
            self.at += 1
        position = self._stream.after(self.at)[0]
        return Slice(batch, position, time, catching_up=self._stream.catching_up)


class FakeSources:
    """Stands for `sources_of`."""

    def __init__(self, stream: FakeStream) -> None:
        self._stream = stream

    def __call__(self, settings: Any, *, follow: bool) -> FakeStream:  # noqa: ARG002
        """The sources of any configuration."""
        return self._stream
