"""The steps that publish: elements handed over as they come, all of them safe at a bundle's end."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import apache_beam as beam
from apache_beam.coders import BooleanCoder
from apache_beam.io.gcp.pubsub import PubsubMessage
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec
from apache_beam.transforms.window import GlobalWindows, TimestampedValue
from apache_beam.utils.timestamp import Timestamp

from mongo_gcp_stream import log
from mongo_gcp_stream._core import ChangeBatch, ChangeEvent, MessageBatch, Writer
from mongo_gcp_stream.beam.metrics import EventCounters, counter, distribution
from mongo_gcp_stream.beam.settings import (
    MESSAGES,
    Settings,
    of_messages,
    of_stages,
    with_topic,
)
from mongo_gcp_stream.beam.stages import Apply, Stages
from mongo_gcp_stream.errors import ConfigError, MongoGcpStreamError, PublishError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from apache_beam.utils.windowed_value import WindowedValue

CHUNK = 1000
"""Messages made of no event that are handed over at once."""

CHUNK_BYTES = 8_000_000
"""The same in bytes of data: what comes above it is handed over with less."""

MOST_FLUSHES = 32
"""Streams of a bundle that are waited for side by side."""

MOST_IDLE = 64
"""Writers that stay open between bundles at the most."""

Message = tuple[bytes, dict[str, str], str]
"""Data, attributes and ordering key."""


class Writers:
    """Writers of this process that no bundle uses: who takes one owns it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[tuple[_Kind, Writer]] = []

    def take(self, kind: _Kind) -> Writer:
        """A writer of a kind, connected with its first message."""
        with self._lock:
            for index, (known, writer) in enumerate(self._idle):
                if known == kind:
                    del self._idle[index]
                    return writer
        return Writer(kind.settings.checked(), kind.stream, keep_letters=kind.keep_letters)

    def give_back(self, kind: _Kind, writer: Writer) -> None:
        """Keep a writer that has nothing in flight for the next bundle."""
        with self._lock:
            self._idle.append((kind, writer))
            del self._idle[:-MOST_IDLE]


class _Kind(NamedTuple):
    """What makes one writer as good as another."""

    settings: Settings
    stream: str
    keep_letters: bool
    emulator: str | None


_WRITERS = Writers()


class Plan(NamedTuple):
    """How elements are published.

    Attributes:
        settings: A whole configuration, or `None`.
        topic: Where all goes, or `None` for where the configuration says.
        ordering_key: That of messages made of no event, or what tells it of an element.
        keep_letters: Whether dead letters come out of the step.
    """

    settings: Settings | None
    topic: str | None
    ordering_key: str | Callable[[Any], str] | None
    keep_letters: bool

    def kind(self, stream: str) -> _Kind:
        """The writer for a stream."""
        settings = self.settings
        if stream == MESSAGES or settings is None:
            settings = _settings_for(settings, self.topic, stream)
        # One test after the other may have an emulator of its own.
        emulator = os.environ.get("PUBSUB_EMULATOR_HOST")
        return _Kind(settings, stream, self.keep_letters, emulator)

    def takes_letters(self) -> bool:
        """Whether dead letters among the messages have a place."""
        return self.keep_letters or bool(self.settings and self.settings.has_letters())

    def message(self, element: Any) -> Message:
        """The message of an element that is none of ours.

        Raises:
            ConfigError: There is no topic for it.
            TypeError: It is of no type that is published.
        """
        if isinstance(element, PubsubMessage):
            data, attributes = element.data or b"", element.attributes or {}
            key = element.ordering_key or ""
        elif isinstance(element, bytes):
            data, attributes, key = element, {}, ""
        else:
            raise TypeError(
                f"WriteToPubSub takes MessageBatch, ChangeBatch, ChangeEvent, PubsubMessage and "
                f"bytes, not {type(element).__name__}"
            )
        if self.topic is None:
            message = "topic: missing: bytes and PubsubMessage have no route, so give one"
            raise ConfigError(message, path="topic")
        if self.ordering_key is not None:
            wanted = self.ordering_key
            key = wanted if isinstance(wanted, str) else wanted(element)
            if not isinstance(key, str):
                raise TypeError(
                    f"ordering_key: it made {type(key).__name__} of an element, not str"
                )
        return data, attributes, key


@functools.lru_cache(maxsize=1024)
def _settings_for(settings: Settings | None, topic: str | None, stream: str) -> Settings:
    """What a writer needs that the configuration does not say: it is asked for in every bundle."""
    if stream == MESSAGES:
        return of_messages(settings, str(topic))
    return Settings.of(with_topic(of_stages(stream, {}, None).tree(), str(topic)))


class _Open(NamedTuple):
    """A writer that a bundle uses, and what it had counted before."""

    kind: _Kind
    writer: Writer
    before: tuple[int, int, int]


class Publish(beam.DoFn):
    """Hands over what comes, and waits at the end of the bundle until all of it is safe."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._stages = Stages(plan.settings, dead_letters=plan.keep_letters)
        self._published = counter("messages_published")
        self._requests = counter("publish_requests")
        self._retries = counter("publish_retries")
        self._events = EventCounters()
        self._dead_lettered = counter("dead_lettered")
        self._latency = distribution("publish_latency_ms")
        self._batch_size = distribution("batch_size")

    def setup(self) -> None:
        log.start()
        self._apply = Apply(self._stages)

    def start_bundle(self) -> None:
        self._open: dict[str, _Open] = {}
        self._plain: list[Message] = []
        self._bytes = 0
        self._handed_over = 0

    def process(self, element: Any) -> None:
        if isinstance(element, MessageBatch):
            self._publish(element)
        elif isinstance(element, (ChangeBatch, ChangeEvent)):
            made = self._apply(element)
            self._events.note(made)
            self._publish(made)
        else:
            message = self._plan.message(element)
            self._plain.append(message)
            self._bytes += len(message[0])
            if len(self._plain) >= CHUNK or self._bytes >= CHUNK_BYTES:
                self._publish_plain()

    def finish_bundle(self) -> Iterable[TaggedOutput]:
        self._publish_plain()
        started = time.monotonic()
        self._flush()
        if self._open:
            self._latency.update(int((time.monotonic() - started) * 1000))
        letters = self._count()
        # Not before all is safe: one that has failed takes nothing any more.
        for kind, writer, _ in self._open.values():
            _WRITERS.give_back(kind, writer)
        self._open = {}
        # Now, so that no window of theirs is over.
        now = Timestamp.now()
        return [
            TaggedOutput("dead_letters", GlobalWindows.windowed_value(letter, now))
            for letter in letters
        ]

    def _flush(self) -> None:
        if len(self._open) == 1:
            self._flush_one(next(iter(self._open)))
        elif self._open:
            # Side by side: each waits for the network, without the GIL.
            with ThreadPoolExecutor(min(len(self._open), MOST_FLUSHES)) as pool:
                list(pool.map(self._flush_one, self._open))

    def _flush_one(self, stream: str) -> None:
        with _telling(stream, self._plan.topic):
            self._open[stream].writer.flush()

    def _count(self) -> list[PubsubMessage]:
        """Count what this bundle has done; its dead letters, where they come out here."""
        letters = []
        for _, writer, before in self._open.values():
            counts = writer.counts()
            requests, retries, dead = (now - then for now, then in zip(counts, before, strict=True))
            self._requests.inc(requests)
            self._retries.inc(retries)
            self._dead_lettered.inc(dead)
            self._handed_over -= dead
            letters += [PubsubMessage(*letter) for letter in writer.letters()]
        self._published.inc(self._handed_over)
        return letters

    def _publish(self, batch: MessageBatch) -> None:
        if batch.letters and not self._plan.takes_letters():
            message = "there are dead letters among the messages, and no place for them"
            hint = "Give WriteToPubSub a `dead_letter`, or a `config` that has one."
            raise PublishError(f"{batch.stream}: {message}. {hint}", hint=hint)
        self._batch_size.update(len(batch))
        self._handed_over += len(batch)
        writer = self._writer(batch.stream)
        with _telling(batch.stream, self._plan.topic):
            writer.publish(batch, self._plan.topic)

    def _publish_plain(self) -> None:
        if not self._plain:
            return
        batch = MessageBatch.plain(MESSAGES, str(self._plan.topic), self._plain)
        self._plain, self._bytes = [], 0
        self._publish(batch)

    def _writer(self, stream: str) -> Writer:
        if stream not in self._open:
            kind = self._plan.kind(stream)
            writer = _WRITERS.take(kind)
            self._open[stream] = _Open(kind, writer, writer.counts())
        return self._open[stream].writer


class PublishInOrder(Publish):
    """The same for what is keyed by its lane, a key one bundle after the other.

    It has state, for which a runner does that; what the state holds is of no interest.
    """

    _LANE = ReadModifyWriteStateSpec("lane", BooleanCoder())

    def process(
        self,
        element: tuple[str, MessageBatch],
        lane: Any = beam.DoFn.StateParam(_LANE),  # noqa: ARG002 -- that it is asked for is enough
    ) -> None:
        self._publish(element[1])


class ByLane(beam.DoFn):
    """Puts what a bundle holds together by what is to be kept in order.

    Messages made of no event by ordering key; those of a stream as the whole that they are, for
    what drops a collection is in order with all others.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._stages = Stages(plan.settings, dead_letters=plan.keep_letters)
        self._events = EventCounters()

    def setup(self) -> None:
        log.start()
        self._apply = Apply(self._stages)

    def start_bundle(self) -> None:
        self._lanes: dict[str, list[Message]] = {}
        self._count = self._bytes = 0

    def process(self, element: Any) -> Iterator[TimestampedValue]:
        if isinstance(element, (ChangeBatch, ChangeEvent)):
            element = self._apply(element)
            self._events.note(element)
        if isinstance(element, MessageBatch):
            # A runner may sort the elements of a key by timestamp: that of their coming.
            yield TimestampedValue((element.stream, element), Timestamp.now())
            return
        message = self._plan.message(element)
        key = message[2]
        if not key:
            raise PublishError(
                "`ordered=True`, and an element has no ordering key: give `ordering_key`, or a "
                "PubsubMessage that has one"
            )
        self._lanes.setdefault(key, []).append(message)
        self._count += 1
        self._bytes += len(message[0])
        if self._count >= CHUNK or self._bytes >= CHUNK_BYTES:
            now = Timestamp.now()
            for lane in self._take():
                yield TimestampedValue(lane, now)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        now = Timestamp.now()
        for lane in self._take():
            yield GlobalWindows.windowed_value(lane, now)

    def _take(self) -> list[tuple[str, MessageBatch]]:
        lanes, self._lanes = self._lanes, {}
        self._count = self._bytes = 0
        topic = str(self._plan.topic)
        return [
            (key, MessageBatch.plain(MESSAGES, topic, messages)) for key, messages in lanes.items()
        ]


@contextlib.contextmanager
def _telling(stream: str, topic: str | None) -> Iterator[None]:
    """Says all of an error in its text, the only part that runners show."""
    try:
        yield
    except MongoGcpStreamError as error:
        hint = error.hint.replace("configure `dead_letter`", "give WriteToPubSub a `dead_letter`")
        if error.kind == "ClaimCheck":
            hint = f"Give WriteToPubSub the `config` that ValidateAndEnrich has. {hint}"
        message = f"{stream}: not published: {error}. {hint}"
        raise PublishError(message, topic or "", error, hint=hint) from error
