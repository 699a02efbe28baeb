"""Callbacks: each stream's changes handed to a coroutine, tried again until it has taken them."""

from __future__ import annotations

import asyncio
import traceback
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mongo_gcp_stream import _loop
from mongo_gcp_stream.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mongo_gcp_stream._core import ChangeBatch
    from mongo_gcp_stream.manager.streams import Streams

    DocumentCallback = Callable[[str, dict[str, Any]], Awaitable[bool | None]]
    BatchCallback = Callable[[str, ChangeBatch], Awaitable[bool | None]]


class Refused(Exception):  # noqa: N818 -- not an error of the program: what a callback said
    """A callback did not take what it was given, and `max_retries` is used up."""


class _Stopped(Exception):  # noqa: N818 -- the way out of the loops
    """The processor is to end."""


class _Gone(Exception):  # noqa: N818 -- likewise
    """The batch's line has ended, paused or started anew: what is left of it comes again."""


class Processor:
    """Hands the changes of one stream to the callbacks, in a task of its own.

    The right to take them is its own from the start: who is too late is told at once.
    """

    def __init__(
        self,
        streams: Streams,
        stream_id: str,
        on_document: list[DocumentCallback],
        on_batch: list[BatchCallback],
    ) -> None:
        self._streams = streams
        self._stream_id = stream_id
        self._on_document = on_document
        self._on_batch = on_batch
        self._consumer = streams.consumer(stream_id)
        self._stopping = asyncio.Event()
        self.task: asyncio.Task[None] = asyncio.create_task(
            self._run(), name=f"process {stream_id}"
        )

    @property
    def is_stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """Lets the callback under way end, and then the task."""
        self._stopping.set()

    async def _run(self) -> None:
        """Until it is stopped, or the stream ends."""
        try:
            while await _loop.call_until(self._consumer.ready, self._stopping):
                batch = self._consumer.take()
                if batch is not None:
                    with suppress(_Gone):
                        await self._process(batch)
        except _Stopped:
            pass
        except Refused as refused:
            self._refuse(str(refused))
        except asyncio.CancelledError:
            # Nobody asked for it: a callback let the cancellation of something else through.
            if not self._stopping.is_set():
                self._refuse("the task that calls the callbacks was cancelled")
            raise
        except Exception as error:  # noqa: BLE001 -- a stream never ends without a word
            self._refuse(f"a change could not be handed over: {_named(error)}")
        finally:
            self._consumer.release()

    def _refuse(self, message: str) -> None:
        """Ends the stream as failed, unless it was removed."""
        with suppress(ConfigError):
            self._streams.reading.refuse(self._stream_id, message)

    async def _process(self, batch: ChangeBatch) -> None:
        """Hands a batch over, and commits what was taken."""
        for taken, change in enumerate(batch if self._on_document else (), 1):
            document = change.to_dict()
            for on_document in self._on_document:
                await self._until_taken(batch, partial(on_document, self._stream_id, document))
            self._go_on(batch, 0 if self._on_batch else taken)
        for on_batch in self._on_batch:
            await self._until_taken(batch, partial(on_batch, self._stream_id, batch))
        batch.commit()

    async def _until_taken(
        self, batch: ChangeBatch, callback: Callable[[], Awaitable[bool | None]]
    ) -> None:
        """Calls it until it takes what it is given; waits in between, longer each time."""
        reading, delays = self._streams.reading, self._streams.reading.backoff()
        refusal = await _refusal(callback)
        if refusal is None:
            return
        while refusal is not None:
            self._go_on(batch, 0)
            reading.interrupted(self._stream_id, refusal)
            delay = delays.next()
            if delay is None:
                raise Refused(refusal)
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay)
            self._go_on(batch, 0)
            refusal = await _refusal(callback)
        reading.interrupted(self._stream_id, None)

    def _go_on(self, batch: ChangeBatch, taken: int) -> None:
        """Commits what was taken of the batch; the way out where it is not to be gone on with."""
        if not batch.commit(taken):
            raise _Gone
        if self._stopping.is_set():
            raise _Stopped


async def _refusal(callback: Callable[[], Awaitable[bool | None]]) -> str | None:
    """Why the callback did not take what it was given, without any value; `None` where it did."""
    try:
        taken = await callback()
    except Exception as error:  # noqa: BLE001 -- whatever it is, the event is not taken
        return f"the callback raised {_named(error)}"
    return "the callback returned False" if taken is False else None


def _named(error: Exception) -> str:
    """The exception's type and place: its text may hold a value of the document."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"
