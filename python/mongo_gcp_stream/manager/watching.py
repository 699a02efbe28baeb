"""State callbacks: told of every state that a stream enters, in its order."""

from __future__ import annotations

import asyncio
import inspect
import logging
from functools import partial
from typing import TYPE_CHECKING

from mongo_gcp_stream import _loop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mongo_gcp_stream.manager.streams import Streams

    StateCallback = Callable[[str, str], Awaitable[None] | None]

_logger = logging.getLogger(__name__)

#: How long the callbacks may take to hear what came last.
_PATIENCE_SECONDS = 1.0


class Watch:
    """Tells the callbacks what the streams do, in a task of the loop that runs."""

    def __init__(self, streams: Streams) -> None:
        self.callbacks: list[StateCallback] = []
        self._streams = streams
        self._task: asyncio.Task[None] | None = None
        self._ending = asyncio.Event()
        #: The last transition of each stream that was told.
        self._told: dict[str, tuple[float, str]] = {}

    def begin(self) -> None:
        """Watches from now on, if anybody wants to know: also anew, in another loop."""
        loop = asyncio.get_running_loop()
        watched = self._task is not None and self._task.get_loop() is loop
        if self.callbacks and not watched:
            self._ending = asyncio.Event()
            self._task = loop.create_task(self._watch(self._ending))

    async def end(self) -> None:
        """Tells what came last, and ends."""
        self._ending.set()
        task = self._task
        if task is None or task.get_loop() is not asyncio.get_running_loop():
            return
        if task is not asyncio.current_task():
            await asyncio.wait([task], timeout=_PATIENCE_SECONDS)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _watch(self, ending: asyncio.Event) -> None:
        ended = False
        while not ended:
            # Before the look: what came last is told, too.
            ended = ending.is_set()
            seen = await self._tell_all()
            changed = partial(self._streams.reading.changed, seen=seen)
            await _loop.call_until(changed, ending)

    async def _tell_all(self) -> dict[str, str]:
        """Tells what was not told yet; returns the states that it has seen."""
        now = self._streams.status()
        for stream_id in self._told.keys() - now.keys():
            del self._told[stream_id]
            await self._tell(stream_id, "removed")
        for stream_id, status in now.items():
            transitions = status.transitions
            told = self._told.get(stream_id)
            first = transitions.index(told) + 1 if told in transitions else 0
            for transition in transitions[first:]:
                self._told[stream_id] = transition
                await self._tell(stream_id, transition[1])
        return {stream_id: status.state for stream_id, status in now.items()}

    async def _tell(self, stream_id: str, state: str) -> None:
        for callback in self.callbacks:
            try:
                told = callback(stream_id, state)
                if inspect.isawaitable(told):
                    await told
            except Exception as error:  # noqa: BLE001, PERF203 -- the streams go on
                kind = type(error).__name__
                _logger.error("a state callback raised %s for stream %s", kind, stream_id)  # noqa: TRY400
