"""`AsyncMongoDBConnectionManager`: many streams, one event loop."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AbstractAsyncContextManager
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from mongo_gcp_stream import _loop
from mongo_gcp_stream.manager.iterators import AsyncBatches, AsyncChanges
from mongo_gcp_stream.manager.processing import Processor
from mongo_gcp_stream.manager.streams import Streams
from mongo_gcp_stream.manager.watching import Watch

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType

    from mongo_gcp_stream._core import StreamStatistics
    from mongo_gcp_stream.config import Config, ConfigManager
    from mongo_gcp_stream.manager.processing import BatchCallback, DocumentCallback
    from mongo_gcp_stream.manager.streams import Health, StreamDict, StreamStatisticsDict
    from mongo_gcp_stream.manager.watching import StateCallback


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
        self._watch = Watch(self._streams)
        self._is_processing = False
        self._processors: dict[str, Processor] = {}

    @property
    def config(self) -> Config:
        """The configuration, with the sources that were added."""
        return self._streams.config

    @property
    def status(self) -> Mapping[str, StreamStatistics]:
        """The status of each stream now, by its id: its state, errors, retries and counters."""
        return self._streams.status()

    @property
    def streams(self) -> Mapping[str, StreamDict]:
        """What the configuration says of each stream, by its id, and when it last took a change."""
        return self._streams.described()

    @property
    def processing_tasks(self) -> Mapping[str, asyncio.Task[None]]:
        """The task of each stream whose changes the callbacks get, by its id."""
        tasks = {stream_id: processor.task for stream_id, processor in self._processors.items()}
        return MappingProxyType(tasks)

    @property
    def logger(self) -> logging.Logger:
        """The logger of the managers, `mongo_gcp_stream.manager`."""
        return logging.getLogger("mongo_gcp_stream.manager")

    async def initialize_connections(self) -> None:
        """Connects and opens all streams at once; returns when each is open or has failed once.

        What changes from then on is read. A connection that fails neither raises nor holds the
        others up: its streams are tried again, `status` tells why. Called again, it does nothing
        for the streams that it has started.

        Raises:
            RuntimeError: The manager was closed.
        """
        self._streams.reading.start()
        self._watch.begin()
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
        times (for ever where it is not set); then the stream is `failed`, as it is by a change that
        cannot be decoded. Errors tell the type and place of an exception, not its text, which could
        hold a value.
        """
        self._on_document.append(callback)

    def register_batch_callback(self, callback: BatchCallback) -> None:
        """Has `await callback(stream_id, batch)` called for each `ChangeBatch`, likewise.

        It is committed when all callbacks have taken it.
        """
        self._on_batch.append(callback)

    def register_state_callback(self, callback: StateCallback) -> None:
        """Has `callback(stream_id, state)` called when a stream enters another state.

        It is awaited if it is a coroutine; what happens meanwhile is told afterwards, the last 20
        states of each stream. The states: `starting`, `streaming`, `backing_off`, `paused`,
        `failed`, `stopped`, and `removed`. To be registered before `initialize_connections`.
        """
        self._watch.callbacks.append(callback)

    async def start_processing(self) -> None:
        """Hands the changes of all streams to the callbacks, each stream in a task of its own.

        Raises:
            RuntimeError: No callback was registered, or somebody takes the batches of a stream.
        """
        if not (self._on_document or self._on_batch):
            message = "nothing would take the changes: register a callback first"
            raise RuntimeError(message)
        await self.initialize_connections()
        # Those that were told to stop are left alone until they have.
        await self._end(name for name, now in self._processors.items() if now.is_stopping)
        self._is_processing = True
        for stream_id in self._streams.status():
            processor = self._processors.get(stream_id)
            if processor is None or processor.task.done():
                self._process(stream_id)

    def _process(self, stream_id: str) -> None:
        processor = Processor(self._streams, stream_id, self._on_document, self._on_batch)
        self._processors[stream_id] = processor

    async def stop_processing(self) -> None:
        """Lets the callbacks under way end, commits what they took, and calls no more.

        The streams stay open. Callbacks that take longer than `shutdown.drain_timeout` are
        cancelled. A callback may call it: what it is given then is the last, and committed once it
        has taken it.
        """
        self._is_processing = False
        await self._end(self._processors)

    async def _end(self, stream_ids: Iterable[str]) -> None:
        """Lets the callbacks of these streams end.

        They are forgotten once they have: who is cancelled here may call it again.
        """
        ending = {name: self._processors[name] for name in stream_ids if name in self._processors}
        for processor in ending.values():
            processor.stop()
        # A callback does not wait for itself.
        over = asyncio.current_task(), *(now.task for now in ending.values() if now.task.done())
        tasks = [now.task for now in ending.values() if now.task not in over]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self._streams.drain_timeout)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for stream_id, processor in ending.items():
            if processor.task.done() and self._processors.get(stream_id) is processor:
                del self._processors[stream_id]

    async def pause(self, stream_id: str) -> None:
        """Lets a stream drain and wait; returns when it is at rest, or when somebody resumes it.

        What was not committed comes again when it goes on: the rest of a batch that a callback or
        `changes` has in hand, too. A stream that was not started yet begins paused.
        """
        self._streams.reading.pause(stream_id, paused=True)
        await _loop.call(partial(self._streams.reading.at_rest, stream=stream_id))

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
        if self._is_processing:
            self._process(stream_id)
        await self.initialize_connections()
        return stream_id

    async def remove_source(self, stream_id: str) -> bool:
        """Stops a stream, stores its position and forgets it; False where there is none."""
        await self._end([stream_id])
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

        May be called again. A manager that was closed is not started again: make a new one. A
        callback may call it, but `stop_processing` is better: what it is given then is not
        committed, and comes again after the next start.
        """
        await self.stop_processing()
        await _loop.call(self._streams.reading.close)
        await self._watch.end()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
