"""`WriteToPubSub`: ordered publishing, flushed at the end of each bundle."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import apache_beam as beam
from apache_beam.io.gcp.pubsub import PubsubMessage

from mongo_gcp_stream import log
from mongo_gcp_stream._core import ChangeBatch, ChangeEvent, MessageBatch, Publisher, Writer
from mongo_gcp_stream.beam.settings import Settings, of_stages, parts_of_topic, with_topic
from mongo_gcp_stream.beam.transform import Apply, Stages
from mongo_gcp_stream.errors import ConfigError, PublishError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

    from mongo_gcp_stream._core import Unpublished
    from mongo_gcp_stream.config import Config

TIMEOUT_MS = 600_000
"""How long Pub/Sub may be out of reach before the bundle fails, and the runner tries it again."""

CHUNK = 5000
"""Messages of other sources than ours that are handed over at once."""

Message = tuple[str, bytes, dict[str, str], str]
"""Topic, data, attributes and ordering key."""


class Writers:
    """Writers of this process that no bundle uses: who takes one owns it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: dict[tuple[Settings, str], list[Writer]] = {}

    def take(self, settings: Settings, stream: str) -> Writer:
        """A writer for a stream, connected with its first message."""
        with self._lock:
            idle = self._idle.get((settings, stream))
            if idle:
                return idle.pop()
        return Writer(settings.checked(), stream)

    def give_back(self, settings: Settings, stream: str, writer: Writer) -> None:
        """Keep a writer that has nothing in flight for the next bundle."""
        with self._lock:
            self._idle.setdefault((settings, stream), []).append(writer)


_WRITERS = Writers()

_publishers: dict[tuple[str, str | None], Publisher] = {}
_publishers_lock = threading.Lock()


def _publisher(topic: str, endpoint: str | None) -> Publisher:
    """The publisher for messages that are not ours: one for all bundles of this process."""
    with _publishers_lock:
        publisher = _publishers.get((topic, endpoint))
        if publisher is None:
            publisher = _publishers[topic, endpoint] = Publisher({topic: 1000}, endpoint=endpoint)
        return publisher


class _Write(beam.DoFn):
    """Hands over what comes, and waits at the end of the bundle until all of it is safe."""

    def __init__(
        self,
        settings: Settings | None,
        topic: str | None,
        ordering_key: str | Callable[[Any], str] | None,
    ) -> None:
        self._settings = settings
        self._topic = topic
        self._ordering_key = ordering_key
        self._stages = Stages(settings, {}, None)

    def setup(self) -> None:
        log.start()
        self._apply = Apply(self._stages)

    def start_bundle(self) -> None:
        self._writers: dict[str, tuple[Settings, Writer]] = {}
        self._plain: list[Message] = []

    def process(self, element: Any) -> None:
        if isinstance(element, (ChangeBatch, ChangeEvent)):
            element = self._apply(element)
        if isinstance(element, MessageBatch):
            self._writer(element.stream).publish(element, self._topic)
            return
        self._plain.append(self._message(element))
        if len(self._plain) == CHUNK:
            self._publish_plain()

    def finish_bundle(self) -> None:
        self._publish_plain()
        for _, writer in self._writers.values():
            writer.flush()
        # Not before all is safe: one that has failed takes nothing any more.
        for stream, (settings, writer) in self._writers.items():
            _WRITERS.give_back(settings, stream, writer)

    def _writer(self, stream: str) -> Writer:
        if stream not in self._writers:
            settings = self._settings or _for_topic(stream, str(self._topic))
            self._writers[stream] = (settings, _WRITERS.take(settings, stream))
        return self._writers[stream][1]

    def _message(self, element: Any) -> Message:
        if isinstance(element, PubsubMessage):
            data, attributes = element.data or b"", dict(element.attributes or {})
            key = element.ordering_key or ""
        elif isinstance(element, bytes):
            data, attributes, key = element, {}, ""
        else:
            raise TypeError(
                f"WriteToPubSub takes MessageBatch, ChangeBatch, ChangeEvent, PubsubMessage and "
                f"bytes, not {type(element).__name__}"
            )
        if self._ordering_key is not None:
            wanted = self._ordering_key
            key = wanted if isinstance(wanted, str) else wanted(element)
        return str(self._topic), data, attributes, key

    def _publish_plain(self) -> None:
        if not self._plain:
            return
        messages, self._plain = self._plain, []
        if self._topic is None:
            raise ConfigError("topic: missing: bytes have no route", path="topic")
        endpoint = self._settings.tree()["pubsub"].get("endpoint") if self._settings else None
        publisher = _publisher(self._topic, endpoint)
        for receipt in publisher.publish(messages, TIMEOUT_MS, fail_fast=True):
            if not isinstance(receipt, str):
                raise _not_published(receipt, self._topic)


def _for_topic(stream: str, topic: str) -> Settings:
    return Settings.of(with_topic(of_stages(stream, {}, None).tree(), topic))


def _not_published(receipt: Unpublished, topic: str) -> PublishError:
    message = f"not published to {topic}: {receipt.reason}"
    return PublishError(message, topic, retryable=receipt.retryable)


class WriteToPubSub(beam.PTransform):
    """Publishes to Pub/Sub; a bundle ends when all of its messages are acknowledged.

    Takes `MessageBatch` of `ValidateAndEnrich`, `ChangeBatch` and `ChangeEvent` as they are read,
    and, as Beam's own transform of this name, `bytes` and `PubsubMessage`, whose ordering keys it
    keeps. Order is promised, for each lane, where it is fused with `ReadFromMongoDBChangeStream`:
    the runner has no bundle of a stream under way before the one before it has ended. A message
    that Pub/Sub refuses fails the bundle, and the runner tries it again.

    `PUBSUB_EMULATOR_HOST` is obeyed.

    Args:
        topic: `projects/<project>/topics/<topic>`. With `config` it may be left out: then messages
            of our reader go where the configuration's topics and routes say.
        config: A configuration: a file, a `Config`, or a mapping: `pubsub`, `gcp` and
            `error_handling` of it are used.
        ordering_key: For `bytes` and `PubsubMessage`: a key for all, or what makes one of an
            element. Order across bundles is not promised for them.

    Returns:
        A PCollection without elements.

    Raises:
        ConfigError: What was given is wrong, at `path`.
    """

    def __init__(
        self,
        topic: str | None = None,
        *,
        config: str | os.PathLike[str] | Config | Mapping[str, Any] | None = None,
        ordering_key: str | Callable[[Any], str] | None = None,
    ) -> None:
        super().__init__()
        if topic is None and config is None:
            raise ConfigError("topic: missing: give it, or `config`", path="topic")
        if topic is not None:
            parts_of_topic(topic)
        self._settings = None if config is None else _publishing(Settings.given(config), topic)
        self._topic = topic
        self._ordering_key = ordering_key

    def expand(self, pcoll: beam.PCollection) -> beam.PCollection:
        """Publish a PCollection."""
        write = _Write(self._settings, self._topic, self._ordering_key)
        return pcoll | "Publish" >> beam.ParDo(write).with_output_types(None)

    def display_data(self) -> dict[str, Any]:
        """What the runner's page shows."""
        return {"topic": self._topic or "as configured"}


def _publishing(settings: Settings, topic: str | None) -> Settings:
    """The configuration, with `topic` where it has none."""
    tree = settings.tree()
    if topic is not None and "pubsub" not in tree:
        tree = with_topic(tree, topic)
    for section in ("gcp", "pubsub"):
        if section not in tree:
            message = f"{section}: missing: publishing needs it"
            raise ConfigError(message, path=section)
    return Settings.of({"checkpoint": {"store": "memory"}, **tree})
