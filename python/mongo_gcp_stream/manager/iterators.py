"""The batches and changes of one stream, one consumer at a time."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import TYPE_CHECKING

from mongo_gcp_stream import _loop

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from mongo_gcp_stream._core import ChangeBatch, ChangeEvent
    from mongo_gcp_stream.manager.streams import Streams


class _Owned:
    """Holds the right to take the batches of a stream until it is closed or forgotten."""

    def __init__(self, streams: Streams, stream_id: str) -> None:
        self._streams = streams
        self._stream_id = stream_id
        self._consumer = streams.consumer(stream_id)

    def _ended(self) -> None:
        self._streams.raise_failure(self._stream_id)


class _Walk:
    """Goes over the changes of one batch after the other."""

    def __init__(self, *, auto_commit: bool) -> None:
        self._auto_commit = auto_commit
        self._batch: ChangeBatch | None = None
        self._next = 0

    def _advance(self) -> ChangeEvent | None:
        """Commits the change that was given last; gives the next of its batch, if there is one.

        There is none where its line has ended, paused or started anew: the rest comes again.
        """
        if self._batch is None:
            return None
        goes_on = self._batch.commit(self._next if self._auto_commit else 0)
        if not goes_on or self._next == len(self._batch):
            self._batch = None
            return None
        self._next += 1
        return self._batch[self._next - 1]

    def _begin(self, batch: ChangeBatch) -> ChangeEvent:
        self._batch, self._next = batch, 1
        return batch[0]


class AsyncBatches(_Owned, AbstractAsyncContextManager["AsyncBatches"]):
    """`async for batch in manager.batches(stream_id)`.

    Ends when the stream is stopped or removed, raises `StreamFailedError` when it has failed.
    Cancelling the wait for a batch loses nothing. `await aclose()`, or forgetting the object, lets
    another consumer go on: what is not committed comes again there.
    """

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ChangeBatch:
        while await _loop.call(self._consumer.ready):
            # A stream that starts anew takes away what was ready.
            if (batch := self._consumer.take()) is not None:
                return batch
        self._ended()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Gives the stream back."""
        self._consumer.release()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()


class AsyncChanges(_Walk, AbstractAsyncContextManager["AsyncChanges"]):
    """`async for change in manager.changes(stream_id)`.

    A change is committed when the next one is asked for, unless `auto_commit` is False: then
    `change.commit()` commits it and all before it.
    """

    def __init__(self, batches: AsyncBatches, *, auto_commit: bool) -> None:
        super().__init__(auto_commit=auto_commit)
        self._batches = batches

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ChangeEvent:
        return self._advance() or self._begin(await self._batches.__anext__())

    async def aclose(self) -> None:
        """Gives the stream back."""
        await self._batches.aclose()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()


class Batches(_Owned, AbstractContextManager["Batches"]):
    """`for batch in manager.batches(stream_id)`: as `AsyncBatches`, blocking without the GIL.

    With `timeout` (seconds) the loop ends when no batch came for so long.
    """

    def __init__(self, streams: Streams, stream_id: str, timeout: float | None) -> None:
        super().__init__(streams, stream_id)
        self._timeout_ms = None if timeout is None else round(timeout * 1000)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> ChangeBatch:
        while self._consumer.wait_ready(self._timeout_ms):
            if (batch := self._consumer.take()) is not None:
                return batch
        self._ended()
        raise StopIteration

    def close(self) -> None:
        """Gives the stream back."""
        self._consumer.release()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Changes(_Walk, AbstractContextManager["Changes"]):
    """`for change in manager.changes(stream_id)`: as `AsyncChanges`, blocking."""

    def __init__(self, batches: Batches, *, auto_commit: bool) -> None:
        super().__init__(auto_commit=auto_commit)
        self._batches = batches

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> ChangeEvent:
        return self._advance() or self._begin(next(self._batches))

    def close(self) -> None:
        """Gives the stream back."""
        self._batches.close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
