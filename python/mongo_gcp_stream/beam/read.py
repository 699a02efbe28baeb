"""`ReadFromMongoDBChangeStream`: an unbounded source that Beam's runners can resume."""

from __future__ import annotations

import dataclasses
import logging
import math
import time
import uuid
from typing import TYPE_CHECKING, Any, Literal, get_args

import apache_beam as beam
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Timestamp

from mongo_gcp_stream import log
from mongo_gcp_stream._core import ChangeBatch, ChangeEvent, Sources
from mongo_gcp_stream._runners import CANNOT, instead
from mongo_gcp_stream.beam import elements as _elements  # noqa: F401 -- registers the coders
from mongo_gcp_stream.beam.arguments import end, one_source, only_without_config, streams
from mongo_gcp_stream.beam.metrics import counter, distribution
from mongo_gcp_stream.beam.readers import READERS, Key, Reader, sources_of
from mongo_gcp_stream.beam.restriction import Positions, Stream, Watermarks
from mongo_gcp_stream.beam.settings import Settings, check_mapping
from mongo_gcp_stream.errors import ConfigError, MongoGcpStreamError, StreamFailedError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from mongo_gcp_stream._core import Slice, Slices
    from mongo_gcp_stream.beam.restriction import Position
    from mongo_gcp_stream.config import Config

_logger = logging.getLogger(__name__)

Resume = Literal["RESUME_OR_NEW", "RESUME_OR_FAIL", "FAIL_IF_EXISTS"]
"""What a pipeline makes of the checkpoint of the one before."""

WAIT_MS = 20
"""How long a bundle waits for its first event: streams that wait share it, one after the other."""

BATCH_SIZE = 20_000
"""Events that a bundle takes of a stream at the most."""

CATCHING_UP = 1000
"""A bundle with so many events is one of a backlog: latency does not matter yet."""

FULLER_MS = 150
"""How long a bundle waits for more after a reply that was full: longer than a busy server takes for
the next one."""

BUNDLE_SECONDS = 0.5
"""How long a bundle takes more, of all its streams: while it lasts no position is safe, and no
window fires."""

BUNDLE_BYTES = 32 << 20
"""Bytes after which a bundle takes no more, of all its streams: between stages that are not fused
it is in memory."""

_ANEW = (
    "The position is kept by the runner: start a new pipeline without the old one's state, with "
    "`startup` where it is to begin"
)

#: What helps where the core's own hint is about the command line, by kind of error.
_HINTS = {
    "HistoryLost": f"{_ANEW} (`earliest` misses the least), copy what was missed, and enlarge the "
    "oplog.",
    "InvalidPosition": f"{_ANEW}; it belongs to another stream, or is damaged.",
    "Conflict": "`resume` says what is made of a checkpoint, and `checkpoint` where it is. One "
    "pipeline at a time moves it: stop the other one first.",
    "Corrupt": "Restore the checkpoint from a backup, or delete it, to begin where `startup` says.",
}


class _Bounds:
    """What a bundle may still take; each of its streams gets one slice in any case."""

    def __init__(self) -> None:
        now = time.monotonic()
        self._waits_until = now + WAIT_MS / 1000
        self._takes_until = now + BUNDLE_SECONDS
        self._bytes = BUNDLE_BYTES

    def wait_ms(self) -> int:
        """How long the next stream may wait for its first event."""
        return max(0, math.ceil((self._waits_until - time.monotonic()) * 1000))

    def fuller_ms(self, piece: Slice, taken: int) -> int:
        """How long the stream that gave `piece` may wait for another slice, after so many events.

        A backlog is worth the wait for a fuller bundle: requests get fuller with it.
        """
        if piece.catching_up:
            wanted = FULLER_MS
        else:
            wanted = WAIT_MS if piece.batch is not None and taken >= CATCHING_UP else 0
        return max(0, min(wanted, math.ceil((self._takes_until - time.monotonic()) * 1000)))

    def take(self, size: int) -> None:
        """Count the bytes of a slice."""
        self._bytes -= size

    def reached(self) -> bool:
        """Whether nothing more is taken."""
        return self._bytes <= 0 or time.monotonic() >= self._takes_until


class _Read(beam.DoFn):
    """Reads streams, one bundle after the other."""

    def __init__(
        self, settings: Settings, batch_size: int, output: str, resume: str | None = None
    ) -> None:
        self._settings = settings
        self._resume = resume
        self._batch_size = batch_size
        self._output = output
        #: Readers of one pipeline are never taken for those of another.
        self._pipeline = uuid.uuid4().hex
        self._read = counter("events_read")
        self._lag = distribution("lag_seconds")

    def setup(self) -> None:
        log.start()

    def start_bundle(self) -> None:
        self._bounds = _Bounds()

    def _bundle(
        self, stream: str, tracker: Any, watermark: Any, finalizer: Any
    ) -> Iterator[TimestampedValue]:
        # Prism logs a traceback for a bundle that has none.
        finalizer.register(_nothing)
        left_at: Position = tracker.current_restriction()
        if left_at.finished:
            return
        reader = READERS.take(Key(self._pipeline, stream, left_at)) or self._open(stream, left_at)
        # Where it opens has to be safe before anything goes out: tried again, it would open later.
        opening = left_at.after is None
        taken = 0
        over = False
        piece = _next(reader, stream, self._batch_size, self._bounds.wait_ms())
        while piece is not None:
            if not tracker.try_claim(None if piece.done else piece.position) or piece.done:
                # Split off meanwhile, or at its end: the reader is ahead of whoever goes on.
                over = True
                break
            left_at = dataclasses.replace(left_at, after=piece.position)
            if piece.batch is not None:
                taken += len(piece.batch)
                self._bounds.take(piece.batch.nbytes)
                second = Timestamp(seconds=piece.time[0]) if piece.time else left_at.time()
                yield from self._elements(piece.batch, second)
            watermark.set_watermark(left_at.time())
            full = taken >= self._batch_size or self._bounds.reached()
            if opening or full or tracker.current_restriction().finished:
                break
            wait_ms = self._bounds.fuller_ms(piece, taken)
            piece = _next(reader, stream, self._batch_size - taken, wait_ms)
        self._count(taken, left_at)
        if self._resume and left_at.after:
            finalizer.register(
                _Keep(stream, reader.slices, left_at.after, moved=taken > 0, last=over)
            )
        if over:
            return
        READERS.give_back(Key(self._pipeline, stream, left_at), reader)
        tracker.defer_remainder(reader.delay(taken))

    def _count(self, taken: int, left_at: Position) -> None:
        reached = left_at.time().seconds()
        self._read.inc(taken)
        if taken and reached > 0:
            # Cluster time is the server's clock: one that runs ahead is no lag.
            self._lag.update(max(0, int(time.time()) - reached))

    def _open(self, stream: str, position: Position) -> Reader:
        sources = sources_of(self._settings, follow=self._resume is not None)
        return Reader(sources.open(stream, position.after, position.end, self._resume))

    def _elements(self, batch: ChangeBatch, second: Timestamp) -> Iterator[TimestampedValue]:
        """The events of a slice, at their second: its position may lie after that."""
        for element in (batch,) if self._output == "batches" else batch:
            yield TimestampedValue(element, second)


def _next(reader: Reader, stream: str, most: int, wait_ms: int) -> Slice | None:
    """The next slice; an error says all of it in its text, the only part that runners show."""
    try:
        return reader.slices.next(most, wait_ms)
    except MongoGcpStreamError as error:
        hint = _HINTS.get(error.kind, error.hint)
        message = f"{stream}: {error}. {hint}"
        failed = StreamFailedError(message, stream_id=stream, hint=hint)
        failed.kind, failed.retryable = error.kind, error.retryable
        raise failed from error


def _nothing() -> None:
    """What a bundle has to do at its end."""


class _Keep:
    """Lets the checkpoint follow to where a bundle ended, once the runner has committed it."""

    def __init__(
        self, stream: str, slices: Slices, position: bytes, *, moved: bool, last: bool
    ) -> None:
        self._stream = stream
        self._slices = slices
        self._position = position
        self._moved = moved
        self._last = last

    def __call__(self) -> None:
        try:
            self._slices.keep(self._position, moved=self._moved, last=self._last)
        except MongoGcpStreamError as error:
            # The runner's own checkpoint is not concerned, and the next bundle tries again.
            _logger.warning("the checkpoint of %s was not stored: %s", self._stream, error)


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

    Counts `events_read` and the distribution `lag_seconds` (of bundles with events: this machine's
    clock less the cluster time reached), under `mongo_gcp_stream`.

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
        resume: Whether this pipeline goes on after the one before it, by a checkpoint that follows
            committed bundles: `"RESUME_OR_NEW"`, `"RESUME_OR_FAIL"` where there is none, or
            `"FAIL_IF_EXISTS"`. Without it there is no such checkpoint. Nothing is lost where the
            sink is fused with the read and flushes at the end of its bundles, as `WriteToPubSub`
            does; else drain the old pipeline first.
        checkpoint: With `resume`: where that is, as the section `checkpoint` of a configuration
            has it; by default that of `config`.
        end_at: Read up to the end of this moment's second, and end; for replays. It needs a time
            zone.
        output: `"batches"`, of up to 1,000 events that share a second; or `"events"`.
        batch_size: Events that a bundle takes of a stream at the most.

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
        connection_id: str | None = None,
        source_name: str | None = None,
        options: Mapping[str, Any] | None = None,
        resume: Resume | None = None,
        checkpoint: Mapping[str, Any] | None = None,
        end_at: datetime | None = None,
        output: Literal["batches", "events"] = "batches",
        batch_size: int = BATCH_SIZE,
    ) -> None:
        super().__init__()
        if output not in ("batches", "events"):
            raise ConfigError('output: expected "batches" or "events"', path="output")
        if type(batch_size) is not int or batch_size < 1:
            raise ConfigError("batch_size: expected a whole number from 1", path="batch_size")
        if config is not None:
            given = {"uri": uri, "database": database, "collection": collection, "options": options}
            only_without_config(**given, source_name=source_name, connection_id=connection_id)
            self._settings = Settings.given(config)
        else:
            if source is not None:
                message = "source: goes with `config`; else `source_name` says how it is called"
                raise ConfigError(message, path="source")
            source, self._settings = one_source(
                uri=uri,
                database=database,
                collection=collection,
                connection=connection_id,
                name=source_name,
                options=options,
            )
        if resume not in (None, *get_args(Resume)):
            message = f"resume: expected {', '.join(get_args(Resume))}"
            raise ConfigError(message, path="resume")
        if checkpoint is not None:
            if resume is None:
                raise ConfigError("checkpoint: goes with `resume`", path="checkpoint")
            check_mapping("checkpoint", checkpoint)
            self._settings = Settings.of({**self._settings.tree(), "checkpoint": dict(checkpoint)})
        elif resume is None:
            self._settings = self._settings.without_checkpoint()
        _check_outlives(self._settings, resume)
        self._resume = resume
        self._streams = streams(self._settings, source)
        self._end = end(end_at)
        self._output = output
        self._batch_size = batch_size
        # The core says at once what only a reader can tell.
        Sources(self._settings.checked(), follow=resume is not None)

    def expand(self, pbegin: beam.pvalue.PBegin) -> beam.PCollection:
        """Add the source to a pipeline.

        Raises:
            ValueError: Its runner cannot read an unbounded source.
        """
        if self._end is None:
            _check_runner(pbegin.pipeline.runner)
        kind = _ReadForEver if self._end is None else _ReadToEnd
        element = ChangeBatch if self._output == "batches" else ChangeEvent
        read = beam.ParDo(kind(self._settings, self._batch_size, self._output, self._resume))
        streams = beam.Create([Stream(name, self._end) for name in self._streams])
        return (
            pbegin
            | "Streams" >> streams.with_output_types(Stream)
            | "Read" >> read.with_output_types(element)
        )

    @property
    def resume(self) -> Resume | None:
        """Whether it goes on after the pipeline before it, and how."""
        return self._resume

    def display_data(self) -> dict[str, Any]:
        """What the runner's page shows: the streams, and nothing of the connection."""
        end = {"end_at": self._end[0]} if self._end else {}
        return {"streams": ", ".join(self._streams), "output": self._output, **end}


def _check_outlives(settings: Settings, resume: Resume | None) -> None:
    if resume and settings.tree().get("checkpoint", {}).get("store") == "memory":
        message = "checkpoint.store: `memory` is gone with its process: `resume` needs another one"
        raise ConfigError(message, path="checkpoint.store")


def _check_runner(runner: Any) -> None:
    # That of a notebook runs on another one, and Beam gives the DirectRunner another name.
    name = type(getattr(runner, "_underlying_runner", runner)).__name__.removeprefix("Switching")
    if name in CANNOT:
        raise ValueError(
            f"the {name} {CANNOT[name]}: for an unbounded source take {instead()}, or give the "
            "read an `end_at`"
        )
