"""What both managers share: the streams of a configuration and what they tell about themselves."""

from __future__ import annotations

import copy
import json
import time
from typing import TYPE_CHECKING, Any, TypedDict

from mongo_gcp_stream import log
from mongo_gcp_stream._core import Consumer, Reading
from mongo_gcp_stream.config import Config
from mongo_gcp_stream.errors import StreamFailedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mongo_gcp_stream._core import StreamStatistics
    from mongo_gcp_stream.config import ConfigManager


class ErrorStatistics(TypedDict):
    """The failures of one stream."""

    total: int
    last_error: str | None
    last_error_time: float | None


class StreamStatisticsDict(TypedDict):
    """What `get_stream_statistics` tells of one stream; times in seconds since the epoch."""

    active: bool
    connection_id: str
    source_name: str
    state: str
    processed_changes: int
    last_processed: float | None
    errors: ErrorStatistics
    retry_count: int
    last_healthy: float | None
    events_per_second: float
    bytes_per_second: float
    in_flight: int
    lag: float | None
    position_age: float | None
    oplog_headroom: float | None


class StreamDict(TypedDict):
    """One stream: the section of its source, and when it last took a change."""

    config: Mapping[str, Any]
    last_processed: float | None


class StreamHealth(TypedDict):
    """Whether one stream is in order."""

    healthy: bool
    state: str
    reason: str


class Health(TypedDict):
    """Whether all streams are in order."""

    status: str
    """`healthy` where all are, `degraded` where some are, `unhealthy` where none is."""
    streams: dict[str, StreamHealth]


class Streams:
    """The streams of one configuration, in the core."""

    def __init__(self, config: Config | ConfigManager | Mapping[str, Any]) -> None:
        self.config: Config = Config.of(config)
        log.start()
        self.reading: Reading = Reading(self.config.to_json())

    @property
    def drain_timeout(self) -> float:
        """How long callbacks may take when processing is to end, in seconds."""
        return self.reading.drain_timeout

    def status(self) -> dict[str, StreamStatistics]:
        """The status of each stream now."""
        return self.reading.statistics()

    def consumer(self, stream_id: str) -> Consumer:
        """The right to take the batches of a stream; raises where somebody has it."""
        consumer = self.reading.consumer(stream_id)
        if consumer is None:
            message = f"stream {stream_id} has a consumer already: one at a time takes its batches"
            raise RuntimeError(message)
        return consumer

    def raise_failure(self, stream_id: str) -> None:
        """Raises where the stream ended by an error, and was not removed."""
        failure = self.reading.failure(stream_id) if stream_id in self.status() else None
        if failure is not None:
            raise StreamFailedError(failure.message, stream_id=stream_id, hint=failure.hint)

    def add(self, connection_id: str, source_name: str, source: Mapping[str, Any]) -> str:
        """Makes a stream known; returns its id."""
        tree = json.loads(self.config.to_json())
        connections = tree["mongodb"]["connections"]
        # An unknown connection is refused by the core, which names what there is.
        sources = connections.setdefault(connection_id, {}).setdefault("sources", {})
        sources[source_name] = copy.deepcopy(dict(source))
        stream_id = f"{connection_id}.{source_name}"
        config = Config.of(tree)
        self.reading.add_source(config.to_json(), stream_id)
        self.config = config
        return stream_id

    def described(self) -> dict[str, StreamDict]:
        """What each stream was asked to do."""
        connections = self.config["mongodb"]["connections"]
        return {
            name: {
                "config": connections[now.connection_id]["sources"][now.source_name],
                "last_processed": now.last_processed,
            }
            for name, now in self.status().items()
        }

    def statistics(self) -> dict[str, StreamStatisticsDict]:
        """The statistics of each stream as plain dicts."""
        return {name: _as_dict(status) for name, status in self.status().items()}

    def health(self) -> Health:
        """Whether the streams are in order."""
        longest = self.reading.max_inactivity
        streams = {name: _health(status, longest) for name, status in self.status().items()}
        healthy = sum(stream["healthy"] for stream in streams.values())
        some = "degraded" if healthy else "unhealthy"
        return {"status": "healthy" if healthy == len(streams) else some, "streams": streams}


def _as_dict(now: StreamStatistics) -> StreamStatisticsDict:
    return {
        "active": now.active,
        "connection_id": now.connection_id,
        "source_name": now.source_name,
        "state": now.state,
        "processed_changes": now.processed_changes,
        "last_processed": now.last_processed,
        "errors": {
            "total": now.total_errors,
            "last_error": now.last_error,
            "last_error_time": now.last_error_time,
        },
        "retry_count": now.retry_count,
        "last_healthy": now.last_healthy,
        "events_per_second": now.events_per_second,
        "bytes_per_second": now.bytes_per_second,
        "in_flight": now.in_flight,
        "lag": now.lag,
        "position_age": now.position_age,
        "oplog_headroom": now.oplog_headroom,
    }


def _health(now: StreamStatistics, longest: float) -> StreamHealth:
    """A paused stream does what it was asked to; one that is silent for too long does not."""
    reason = ""
    if now.state not in {"streaming", "paused"}:
        reason = now.last_error or f"the stream is {now.state.replace('_', ' ')}"
    elif now.state == "streaming":
        silent = time.time() - now.last_healthy if now.last_healthy is not None else longest
        if silent > longest:
            reason = f"no reply of the server for {silent:.0f} s"
    return {"healthy": not reason, "state": now.state, "reason": reason}
