"""Awaiting the core: one bridge for each event loop, watched as a file descriptor.

Loops of Unix can do that, uvloop among them. Windows is not supported: its default loop has no
`add_reader`.
"""

from __future__ import annotations

import asyncio
import itertools
import weakref
from typing import TYPE_CHECKING, Any

from ._core import Bridge, Call

if TYPE_CHECKING:
    from collections.abc import Callable

    Start = Callable[[Bridge, int], Call]

_bridges: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Watched] = (
    weakref.WeakKeyDictionary()
)


async def call(start: Start) -> Any:  # noqa: ANN401 -- whatever the core's method says
    """Starts a call of the core and waits for it; when cancelled, the call is dropped."""
    loop = asyncio.get_running_loop()
    watched = _bridges.get(loop)
    if watched is None:
        watched = _bridges[loop] = _Watched(loop)
    return await watched.call(loop, start)


async def call_until(start: Start, event: asyncio.Event) -> Any:  # noqa: ANN401 -- as above
    """The same; `None` where `event` is set first: then the call is dropped."""
    calling, ending = asyncio.ensure_future(call(start)), asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait({calling, ending}, return_when=asyncio.FIRST_COMPLETED)
        return None if event.is_set() else await calling
    finally:
        calling.cancel()
        ending.cancel()


class _Watched:
    """The bridge of one loop and the calls that wait for it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._bridge = Bridge()
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        # The loop holds the callback for as long as it lives: no reference back to the loop here.
        loop.add_reader(self._bridge.fileno(), self._drain)

    async def call(self, loop: asyncio.AbstractEventLoop, start: Start) -> Any:  # noqa: ANN401
        number = next(self._numbers)
        future: asyncio.Future[Any] = loop.create_future()
        self._waiting[number] = future
        try:
            under_way = start(self._bridge, number)
        except BaseException:
            del self._waiting[number]
            raise
        try:
            return await future
        finally:
            if self._waiting.pop(number, None) is not None:
                under_way.cancel()

    def _drain(self) -> None:
        for number, worked, result in self._bridge.drain():
            future = self._waiting.pop(number, None)
            if future is None or future.done():
                continue
            if worked:
                future.set_result(result)
            else:
                future.set_exception(result)
