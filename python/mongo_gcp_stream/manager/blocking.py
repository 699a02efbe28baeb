"""`MongoDBConnectionManager`: the same streams for programs without an event loop."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from mongo_gcp_stream.manager.iterators import Batches, Changes
from mongo_gcp_stream.manager.streams import Streams

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from mongo_gcp_stream._core import StreamStatistics
    from mongo_gcp_stream.config import Config, ConfigManager
    from mongo_gcp_stream.manager.streams import Health, StreamStatisticsDict


class MongoDBConnectionManager(AbstractContextManager["MongoDBConnectionManager"]):
    """As `AsyncMongoDBConnectionManager`, with calls that block and without callbacks.

    They hold no GIL, and Ctrl-C ends them. Each stream may be taken by a thread of its own.

    Example:
        ```python
        with MongoDBConnectionManager(load_config("config.yaml")) as manager:
            manager.initialize_connections()
            for batch in manager.batches("main.orders", timeout=10):
                print(len(batch))
                batch.commit()
        ```

    Raises:
        ConfigError: The configuration is wrong, at `path`; nothing was connected.
    """

    def __init__(self, config: Config | ConfigManager | Mapping[str, Any]) -> None:
        self._streams = Streams(config)

    @property
    def config(self) -> Config:
        """The configuration, with the sources that were added."""
        return self._streams.config

    @property
    def status(self) -> Mapping[str, StreamStatistics]:
        """The status of each stream now, by its id."""
        return self._streams.status()

    def initialize_connections(self) -> None:
        """Connects and opens all streams at once; returns when each is open or has failed once."""
        self._streams.reading.start()
        self._streams.reading.wait_opened()

    def batches(self, stream_id: str, *, timeout: float | None = None) -> Batches:
        """The batches of a stream; the loop ends when none came for `timeout` seconds.

        Raises:
            ConfigError: There is no such stream.
            RuntimeError: Somebody takes its batches already.
        """
        return Batches(self._streams, stream_id, timeout)

    def changes(
        self, stream_id: str, *, timeout: float | None = None, auto_commit: bool = True
    ) -> Changes:
        """The changes of a stream, each committed when the next is asked for.

        With `auto_commit=False` by `change.commit()`.
        """
        return Changes(self.batches(stream_id, timeout=timeout), auto_commit=auto_commit)

    def pause(self, stream_id: str, *, timeout: float | None = None) -> bool:
        """Lets a stream drain and wait; False where it is not at rest after `timeout` seconds."""
        reading = self._streams.reading
        reading.pause(stream_id, paused=True)
        return reading.wait_at_rest(stream_id, None if timeout is None else round(timeout * 1000))

    def resume(self, stream_id: str) -> None:
        """Lets a paused stream go on from its position."""
        self._streams.reading.pause(stream_id, paused=False)

    def add_source(self, connection_id: str, source_name: str, source: Mapping[str, Any]) -> str:
        """Adds a source while others run, opens it and returns its stream id."""
        stream_id = self._streams.add(connection_id, source_name, source)
        self.initialize_connections()
        return stream_id

    def remove_source(self, stream_id: str) -> bool:
        """Stops a stream, stores its position and forgets it; False where there is none."""
        return self._streams.reading.wait_removed(stream_id)

    def get_stream_statistics(self) -> dict[str, StreamStatisticsDict]:
        """The statistics of each stream, by its id, as plain dicts."""
        return self._streams.statistics()

    def health(self) -> Health:
        """Whether the streams are in order."""
        return self._streams.health()

    def cleanup(self) -> None:
        """The same as `close`."""
        self.close()

    def close(self) -> None:
        """Stops all streams, stores their positions and closes the connections."""
        self._streams.reading.wait_closed()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
