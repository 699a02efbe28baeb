"""`ReadFromMongoDBChangeStream`: an unbounded source that Beam's runners can resume."""

from __future__ import annotations

import dataclasses
import uuid
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import apache_beam as beam
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Duration, Timestamp

from mongo_gcp_stream import log
from mongo_gcp_stream._core import ChangeBatch, ChangeEvent, Sources
from mongo_gcp_stream.beam import elements as _elements  # noqa: F401 -- registers the coders
from mongo_gcp_stream.beam.readers import READERS, Key, sources_of
from mongo_gcp_stream.beam.restriction import ClusterTime, Positions, Watermarks
from mongo_gcp_stream.beam.settings import Settings, of_source
from mongo_gcp_stream.errors import ConfigError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from mongo_gcp_stream.beam.restriction import Position
    from mongo_gcp_stream.config import Config

WAIT_MS = 20
"""How long a bundle waits for its first event: streams that wait share a worker's threads."""

IDLE_DELAY = Duration(micros=50_000)
"""After how long an idle stream is looked at again."""

BATCH_SIZE = 5000
"""Events that a bundle takes at the most."""

#: Those whose unbounded reads never return, or that cannot read unbounded sources at all.
_CANNOT = ("DirectRunner", "SwitchingDirectRunner", "BundleBasedDirectRunner", "FnApiRunner")


class Stream(NamedTuple):
    """The element that a stream is read for."""

    name: str
    end: ClusterTime | None


class _Read(beam.DoFn):
    """Reads streams, one bundle after the other."""

    def __init__(self, settings: Settings, batch_size: int, output: str) -> None:
        self._settings = settings
        self._batch_size = batch_size
        self._output = output
        #: Readers of one pipeline are never taken for those of another.
        self._pipeline = uuid.uuid4().hex

    def setup(self) -> None:
        log.start()

    def _bundle(
        self, stream: str, tracker: Any, watermark: Any, finalizer: Any
    ) -> Iterator[TimestampedValue]:
        # Prism logs a traceback for a bundle that has none.
        finalizer.register(_nothing)
        left_at: Position = tracker.current_restriction()
        reader = READERS.take(Key(self._pipeline, stream, left_at))
        if reader is None:
            reader = sources_of(self._settings).open(stream, left_at.after, left_at.end)
        taken = 0
        piece = reader.next(self._batch_size, WAIT_MS)
        while piece is not None:
            if not tracker.try_claim(None if piece.done else piece.position) or piece.done:
                # Split off meanwhile, or over: the reader is ahead of whoever goes on.
                return
            left_at = dataclasses.replace(left_at, after=piece.position)
            if piece.batch is not None:
                taken += len(piece.batch)
                yield from self._elements(piece.batch, left_at.time())
            watermark.set_watermark(left_at.time())
            wanted = self._batch_size - taken
            piece = reader.next(wanted, 0) if wanted > 0 else None
        READERS.give_back(Key(self._pipeline, stream, left_at), reader)
        tracker.defer_remainder(None if taken else IDLE_DELAY)

    def _elements(self, batch: ChangeBatch, second: Timestamp) -> Iterator[TimestampedValue]:
        for element in (batch,) if self._output == "batches" else batch:
            yield TimestampedValue(element, second)


def _nothing() -> None:
    """What a bundle has to do at its end."""


class _ReadForEver(_Read):
    """Reads streams that have no end."""

    @beam.DoFn.unbounded_per_element()
    def process(
        self,
        element: Stream,
        finalizer: Any = beam.DoFn.BundleFinalizerParam,  # Beam wants it before the others
        tracker: Any = beam.DoFn.RestrictionParam(Positions()),
        watermark: Any = beam.DoFn.WatermarkEstimatorParam(Watermarks()),
    ) -> Iterator[TimestampedValue]:
        yield from self._bundle(element.name, tracker, watermark, finalizer)


class _ReadToEnd(_Read):
    """Reads streams up to a cluster time."""

    def process(
        self,
        element: Stream,
        finalizer: Any = beam.DoFn.BundleFinalizerParam,
        tracker: Any = beam.DoFn.RestrictionParam(Positions()),
        watermark: Any = beam.DoFn.WatermarkEstimatorParam(Watermarks()),
    ) -> Iterator[TimestampedValue]:
        yield from self._bundle(element.name, tracker, watermark, finalizer)


class ReadFromMongoDBChangeStream(beam.PTransform):
    """Reads change streams, resumable, with cluster time as the watermark.

    The position of a stream is part of the pipeline's own checkpoint: what a bundle has read counts
    once the runner has committed the bundle. A new pipeline begins where `startup` says.

    The watermark follows the cluster time of what was read, and on an idle stream that of the
    server's post-batch token, which moves every 10 s by default (`periodicNoopIntervalSecs`).

    Runs on Prism, Flink and Dataflow; with `end_at` on the DirectRunner, too.

    Args:
        uri: Where MongoDB is, such as `mongodb://localhost:27017/?replicaSet=rs0`. It travels with
            the pipeline, its password included.
        database: What is captured, with `collection`; without both the whole deployment.
        collection: See `database`.
        config: Instead of these three: a configuration file, a `Config`, or a mapping.
        source: With `config`: the stream, `<connection id>.<source name>`; all by default.
        connection_id: Without `config`: how the stream is called; `main` by default.
        source_name: Without `config`: the collection's name by default.
        options: Without `config`: what else a source may have, such as `startup` or `pipeline`.
        end_at: Read up to this moment, inclusive, and end; for replays. Aware, whole seconds.
        output: `"batches"`, of up to 1,000 events that share a second; or `"events"`.
        batch_size: Events that a bundle takes at the most.

    Returns:
        A PCollection of `ChangeBatch` or of `ChangeEvent`, timestamps in whole seconds of cluster
        time.

    Raises:
        ConfigError: What was given is wrong, at `path`; nothing is connected.
    """

    def __init__(
        self,
        uri: str | None = None,
        database: str | None = None,
        collection: str | None = None,
        *,
        config: str | os.PathLike[str] | Config | Mapping[str, Any] | None = None,
        source: str | None = None,
        connection_id: str = "main",
        source_name: str | None = None,
        options: Mapping[str, Any] | None = None,
        end_at: datetime | None = None,
        output: Literal["batches", "events"] = "batches",
        batch_size: int = BATCH_SIZE,
    ) -> None:
        super().__init__()
        if output not in {"batches", "events"}:
            raise ConfigError('output: expected "batches" or "events"', path="output")
        if batch_size < 1:
            raise ConfigError("batch_size: expected 1 or more", path="batch_size")
        if config is not None:
            if (uri, database, collection, options) != (None,) * 4:
                message = "config: has the connection and the sources; give either it or `uri`"
                raise ConfigError(message, path="config")
            self._settings = Settings.given(config)
        elif uri is None:
            raise ConfigError("uri: missing: give it, or `config`", path="uri")
        else:
            source = f"{connection_id}.{source_name or collection or database or 'deployment'}"
            self._settings = of_source(uri, database, collection, source, options or {})
        self._streams = _streams(self._settings, source)
        self._end = _end(end_at)
        self._output = output
        self._batch_size = batch_size
        # The core says at once what only a reader can tell.
        Sources(self._settings.checked())

    def expand(self, pbegin: beam.pvalue.PBegin) -> beam.PCollection:
        """Add the source to a pipeline.

        Raises:
            ValueError: Its runner cannot read an unbounded source.
        """
        if self._end is None:
            _check_runner(type(pbegin.pipeline.runner).__name__)
        kind = _ReadForEver if self._end is None else _ReadToEnd
        element = ChangeBatch if self._output == "batches" else ChangeEvent
        read = beam.ParDo(kind(self._settings, self._batch_size, self._output))
        streams = beam.Create([Stream(name, self._end) for name in self._streams])
        return (
            pbegin
            | "Streams" >> streams.with_output_types(Stream)
            | "Read" >> read.with_output_types(element)
        )

    def display_data(self) -> dict[str, Any]:
        """What the runner's page shows: the streams, and nothing of the connection."""
        end = {"end_at": self._end[0]} if self._end else {}
        return {"streams": ", ".join(self._streams), "output": self._output, **end}


def _streams(settings: Settings, source: str | None) -> list[str]:
    known = settings.streams()
    if source is None:
        return known
    if source not in known:
        names = ", ".join(known)
        message = f"source: no stream is called `{source}`; there is {names}"
        raise ConfigError(message, path="source")
    return [source]


def _end(moment: datetime | None) -> ClusterTime | None:
    """The last cluster time of the second of `moment`."""
    if moment is None:
        return None
    if moment.tzinfo is None:
        message = "end_at: expected a time zone, such as datetime(2026, 1, 31, tzinfo=timezone.utc)"
        raise ConfigError(message, path="end_at")
    return int(moment.timestamp()), 0xFFFF_FFFF


def _check_runner(runner: str) -> None:
    if runner in _CANNOT:
        raise ValueError(
            f"{runner} cannot read an unbounded source: run the pipeline with "
            "--runner=PrismRunner, FlinkRunner or DataflowRunner, or give the read an `end_at`"
        )
