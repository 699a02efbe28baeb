"""`AsyncMongoDBConnectionManager`: many streams, one event loop."""

from __future__ import annotations

import asyncio
import inspect
import logging
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from mongo_gcp_stream import _loop
from mongo_gcp_stream.manager.iterators import AsyncBatches, AsyncChanges
from mongo_gcp_stream.manager.processing import Processor
from mongo_gcp_stream.manager.streams import Streams

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from types import TracebackType

    from mongo_gcp_stream._core import StreamStatistics
    from mongo_gcp_stream.config import Config, ConfigManager
    from mongo_gcp_stream.manager.processing import BatchCallback, DocumentCallback
    from mongo_gcp_stream.manager.streams import Health, StreamStatisticsDict

    StateCallback = Callable[[str, str], Awaitable[None] | None]

_logger = logging.getLogger(__name__)

#: States in which a stream stays until somebody does something.
_AT_REST = {"paused", "failed", "stopped"}


class AsyncMongoDBConnectionManager(AbstractAsyncContextManager["AsyncMongoDBConnectionManager"]):
    """Reads the change streams of all sources of a configuration, in parallel, in Rust.

    A stream is called `"<connection id>.<source name>"`. Its changes are taken in one of two ways:
    by `batches` or `changes` in a loop of your own, or by callbacks (`start_processing`). Each is
    handed over at least once, in the order of the oplog; the position moves over what is committed,
    and what is not comes again after the next start.

    Connections are made again, with jittered backoff, for as long as `error_handling.max_retries`
    allows (for ever, where it is not set).

    Example:
        ```python
        async with AsyncMongoDBConnectionManager(load_config("config.yaml")) as manager:
            await manager.initialize_connections()
            async for batch in manager.batches("main.orders"):
                for change in batch:
                    print(change.operation_type, change.document_key, change.full_document)
                await batch.commit()
        ```

    Args:
        config: What `load_config` gives, a `ConfigManager`, or a mapping as in the file. The
            sections `gcp` and `pubsub` are not needed; without `checkpoint` positions are kept for
            the life of the manager only.

    Raises:
        ConfigError: The configuration is wrong, at `path`; nothing was connected.
    """

    def __init__(self, config: Config | ConfigManager | Mapping[str, Any]) -> None:
        self._streams = Streams(config)
        self._on_document: list[DocumentCallback] = []
        self._on_batch: list[BatchCallback] = []
        self._on_state: list[StateCallback] = []
        self._processing: dict[str, tuple[Processor, asyncio.Task[None]]] = {}
        self._watching: asyncio.Task[None] | None = None

    @property
    def config(self) -> Config:
        """The configuration, with the sources that were added."""
        return self._streams.config

    @property
    def status(self) -> Mapping[str, StreamStatistics]:
        """The status of each stream now, by its id: its state, errors, retries and counters."""
        return self._streams.status()

    async def initialize_connections(self) -> None:
        """Connects and opens all streams at once; returns when each is open or has failed once.

        What changes from then on is read. A connection that fails neither raises nor holds the
        others up: its streams are tried again, `status` tells why. Called again, it does nothing
        for the streams that it has started.
        """
        self._streams.reading.start()
        if self._watching is None and self._on_state:
            self._watching = asyncio.create_task(self._watch())
        await _loop.call(self._streams.reading.opened)

    def batches(self, stream_id: str) -> AsyncBatches:
        """The batches of a stream, as they come; each is to be committed.

        Raises:
            ConfigError: There is no such stream.
            RuntimeError: Somebody takes its batches already.
        """
        return AsyncBatches(self._streams, stream_id)

    def changes(self, stream_id: str, *, auto_commit: bool = True) -> AsyncChanges:
        """The changes of a stream, one by one.

        Each is committed when the next is asked for; with `auto_commit=False` by `change.commit()`.

        Raises:
            ConfigError: There is no such stream.
            RuntimeError: Somebody takes its batches already.
        """
        return AsyncChanges(self.batches(stream_id), auto_commit=auto_commit)

    def register_document_callback(self, callback: DocumentCallback) -> None:
        """Has `await callback(stream_id, document)` called for each change.

        `document` is the change event as a dict. False or an exception means that it was not taken:
        it is called again with the same change, with backoff, at most `error_handling.max_retries`
        times (for ever where it is not set); then the stream is `failed`. Errors tell the
        exception's type and place, not its text, which could hold a value.
        """
        self._on_document.append(callback)

    def register_batch_callback(self, callback: BatchCallback) -> None:
        """Has `await callback(stream_id, batch)` called for each `ChangeBatch`, likewise.

        It is committed when all callbacks have taken it.
        """
        self._on_batch.append(callback)

    def register_state_callback(self, callback: StateCallback) -> None:
        """Has `callback(stream_id, state)` called when a stream enters another state.

        It is awaited if it is a coroutine. The states: `starting`, `streaming`, `backing_off`,
        `paused`, `failed`, `stopped`, and `removed`. To be registered before
        `initialize_connections`.
        """
        self._on_state.append(callback)

    async def start_processing(self) -> None:
        """Hands the changes of all streams to the callbacks, each stream in a task of its own.

        Raises:
            RuntimeError: No callback was registered, or somebody takes the batches of a stream.
        """
        if not (self._on_document or self._on_batch):
            message = "nothing would take the changes: register a callback first"
            raise RuntimeError(message)
        await self.initialize_connections()
        for stream_id in self._streams.status():
            _, task = self._processing.get(stream_id, (None, None))
            if task is None or task.done():
                self._process(stream_id)

    def _process(self, stream_id: str) -> None:
        processor = Processor(self._streams, stream_id, self._on_document, self._on_batch)
        task = asyncio.create_task(processor.run(), name=f"process {stream_id}")
        self._processing[stream_id] = (processor, task)

    async def stop_processing(self) -> None:
        """Lets the callbacks under way end, commits what they took, and calls no more.

        The streams stay open. Callbacks that take longer than `shutdown.drain_timeout` are
        cancelled.
        """
        under_way, self._processing = self._processing, {}
        for processor, _ in under_way.values():
            processor.stop()
        tasks = [task for _, task in under_way.values()]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self._streams.drain_timeout)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def pause(self, stream_id: str) -> None:
        """Lets a stream drain and wait; returns when it is at rest.

        What was not committed comes again when it goes on.
        """
        self._streams.reading.pause(stream_id, paused=True)
        await self._until(stream_id, _AT_REST)

    async def resume(self, stream_id: str) -> None:
        """Lets a paused stream go on from its position."""
        self._streams.reading.pause(stream_id, paused=False)

    async def add_source(
        self, connection_id: str, source_name: str, source: Mapping[str, Any]
    ) -> str:
        """Adds a source while others run, opens it and returns its stream id.

        `source` is what would stand at `mongodb.connections.<id>.sources.<name>`. Where
        `start_processing` was called, the callbacks get its changes too.

        Raises:
            ConfigError: It cannot be: `path` names the key.
        """
        stream_id = self._streams.add(connection_id, source_name, source)
        await self.initialize_connections()
        if self._processing:
            self._process(stream_id)
        return stream_id

    async def remove_source(self, stream_id: str) -> bool:
        """Stops a stream, stores its position and forgets it; False where there is none."""
        processor, task = self._processing.pop(stream_id, (None, None))
        if processor is not None and task is not None:
            processor.stop()
            await asyncio.wait([task], timeout=self._streams.drain_timeout)
            task.cancel()
        remove = self._streams.reading.remove
        removed: bool = await _loop.call(partial(remove, stream=stream_id))
        return removed

    async def get_stream_statistics(self) -> dict[str, StreamStatisticsDict]:
        """The statistics of each stream, by its id, as plain dicts."""
        return self._streams.statistics()

    async def health(self) -> Health:
        """Whether the streams are in order.

        That is: streaming, and heard of within `monitoring.max_inactivity_seconds` (30), or paused.
        """
        return self._streams.health()

    async def cleanup(self) -> None:
        """The same as `close`."""
        await self.close()

    async def close(self) -> None:
        """Stops processing, stops all streams, stores their positions and closes the connections.

        May be called again. A manager that was closed is not started again: make a new one.
        """
        await self.stop_processing()
        await _loop.call(self._streams.reading.close)
        if self._watching is not None:
            # What came last is told, too.
            await asyncio.wait([self._watching], timeout=1)
            self._watching.cancel()
            with suppress(asyncio.CancelledError):
                await self._watching
            self._watching = None

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def _until(self, stream_id: str, wanted: set[str]) -> None:
        seen: dict[str, str] = {}
        while seen.get(stream_id, "starting") not in wanted:
            seen = await self._changed(seen)

    async def _changed(self, seen: dict[str, str]) -> dict[str, str]:
        now: dict[str, str] = await _loop.call(partial(self._streams.reading.changed, seen=seen))
        return now

    async def _watch(self) -> None:
        """Tells the state callbacks, until all streams have ended."""
        seen: dict[str, str] = {}
        while not seen or any(state not in {"failed", "stopped"} for state in seen.values()):
            now = await self._changed(seen)
            for stream_id in seen.keys() | now.keys():
                state = now.get(stream_id, "removed")
                if state != seen.get(stream_id):
                    await self._tell(stream_id, state)
            seen = now

    async def _tell(self, stream_id: str, state: str) -> None:
        for callback in self._on_state:
            try:
                told = callback(stream_id, state)
                if inspect.isawaitable(told):
                    await told
            except Exception as error:  # noqa: BLE001, PERF203 -- the streams go on
                kind = type(error).__name__
                _logger.error("a state callback raised %s for stream %s", kind, stream_id)  # noqa: TRY400
