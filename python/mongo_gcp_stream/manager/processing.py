"""Callbacks: each stream's changes handed to a coroutine, tried again until it has taken them."""

from __future__ import annotations

import asyncio
import traceback
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mongo_gcp_stream import _loop

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


class Processor:
    """Hands the changes of one stream to the callbacks.

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

    def stop(self) -> None:
        """Lets the callback under way end, and then `run`."""
        self._stopping.set()

    async def run(self) -> None:
        """Until it is stopped, or the stream ends."""
        try:
            while await self._ready():
                batch = self._consumer.take()
                if batch is not None:
                    await self._process(batch)
        except Refused as refused:
            self._streams.reading.refuse(self._stream_id, str(refused))
        except _Stopped:
            pass
        finally:
            self._consumer.release()

    async def _ready(self) -> bool:
        ready = asyncio.ensure_future(_loop.call(self._consumer.ready))
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({ready, stopping}, return_when=asyncio.FIRST_COMPLETED)
            return not self._stopping.is_set() and await ready
        finally:
            ready.cancel()
            stopping.cancel()

    async def _process(self, batch: ChangeBatch) -> None:
        """Hands a batch over; commits what was taken, also when it ends early."""
        taken = 0
        try:
            for change in batch if self._on_document else ():
                document = change.to_dict()
                for on_document in self._on_document:
                    await self._until_taken(partial(on_document, self._stream_id, document))
                if not self._on_batch:
                    taken += 1
                self._check_stop()
            for on_batch in self._on_batch:
                await self._until_taken(partial(on_batch, self._stream_id, batch))
            taken = len(batch)
        finally:
            batch.commit(taken)

    async def _until_taken(self, callback: Callable[[], Awaitable[bool | None]]) -> None:
        """Calls it until it takes what it is given; waits in between, longer each time."""
        reading, delays = self._streams.reading, self._streams.reading.backoff()
        refusal = await _refusal(callback)
        if refusal is None:
            return
        while refusal is not None:
            reading.interrupted(self._stream_id, refusal)
            delay = delays.next()
            if delay is None:
                raise Refused(refusal)
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay)
            self._check_stop()
            refusal = await _refusal(callback)
        reading.interrupted(self._stream_id, None)

    def _check_stop(self) -> None:
        if self._stopping.is_set():
            raise _Stopped


async def _refusal(callback: Callable[[], Awaitable[bool | None]]) -> str | None:
    """Why the callback did not take what it was given, without any value; `None` where it did."""
    try:
        taken = await callback()
    except Exception as error:  # noqa: BLE001 -- whatever it is, the event is not taken
        # An exception's text may hold a value of the document; its type and place do not.
        frames = traceback.extract_tb(error.__traceback__)
        place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
        return f"the callback raised {type(error).__name__}{place}"
    return "the callback returned False" if taken is False else None
