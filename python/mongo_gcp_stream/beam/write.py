"""`WriteToPubSub`: ordered publishing, flushed at the end of each bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import apache_beam as beam
from apache_beam.io.gcp.pubsub import PubsubMessage
from apache_beam.transforms.window import GlobalWindows

from mongo_gcp_stream._core import MessageBatch
from mongo_gcp_stream.beam import elements as _elements  # noqa: F401 -- registers the coders
from mongo_gcp_stream.beam.publishing import ByLane, Plan, Publish, PublishInOrder
from mongo_gcp_stream.beam.resuming import warn_of_sink
from mongo_gcp_stream.beam.settings import (
    Settings,
    check_topic,
    with_topic,
    without_servers,
)
from mongo_gcp_stream.errors import ConfigError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

    from mongo_gcp_stream.config import Config

DeadLetter: TypeAlias = "str | beam.PTransform"
"""Where dead letters go: `projects/<project>/topics/<topic>`, or what takes `PubsubMessage`."""


class Written(NamedTuple):
    """What `WriteToPubSub.with_dead_letter` returns.

    Attributes:
        published: PCollection without elements.
        dead_letters: PCollection of Beam's `PubsubMessage`, one for each message that Pub/Sub
            refuses.
    """

    published: beam.PCollection
    dead_letters: beam.PCollection


class WriteToPubSub(beam.PTransform):
    """Publishes to Pub/Sub; a bundle ends when all of its messages are acknowledged.

    Takes `MessageBatch` of `ValidateAndEnrich`, `ChangeBatch` and `ChangeEvent` as they are read,
    and, as Beam's own transform of this name, `bytes` and `PubsubMessage`, whose ordering keys it
    keeps. What is taken for a moment only is tried again for as long as it takes. A message that
    Pub/Sub refuses for what it is fails the bundle, and the runner tries the bundle again; give
    `dead_letter`, or use `with_dead_letter()`, to have it kept elsewhere.

    Order is promised, for each lane, where the step is fused with `ReadFromMongoDBChangeStream`:
    the runner has no bundle of a stream under way before the one before it has ended. For other
    inputs the messages of an ordering key go out in the order in which they come in a bundle, and
    bundles may be under way side by side. `ordered=True` puts a step with state in front, for which
    a runner processes a key serially: the messages of a key then go out in the order in which they
    arrive at that step, across bundles. It brings back no order that was lost before, by a
    Reshuffle or a GroupByKey; and a bundle that is tried again repeats what it has sent, so a
    stretch of a key may come twice, in order each time. It costs a shuffle: of 1 KB messages on
    Prism, it published about a quarter as many a second.

    `PUBSUB_EMULATOR_HOST` is obeyed. Counts `messages_published`, `publish_requests`,
    `publish_retries`, `dead_lettered`, and the distributions `batch_size` and `publish_latency_ms`
    (the wait at the end of a bundle), under `mongo_gcp_stream`.

    Args:
        topic: `projects/<project>/topics/<topic>`. With `config` it may be left out: then messages
            of our reader go where the configuration's topics and routes say.
        with_attributes: Beam's own: taken, and of no effect. An element tells by its type.
        config: A configuration: a file, a `Config`, or a mapping: `pubsub`, `gcp`,
            `error_handling` and `dead_letter` of it are used.
        ordering_key: For `bytes` and `PubsubMessage`: a key for all, or what makes one of an
            element, in place of its own.
        ordered: Whether order is kept across bundles for what is not fused with our reader; needs
            an ordering key in every `bytes` and `PubsubMessage`. Messages of a stream are in order
            as a whole, one bundle of a stream at a time.
        dead_letter: Where what Pub/Sub refuses goes, and what the input has of dead letters: a
            topic, `projects/<project>/topics/<topic>`, or a transform that takes `PubsubMessage`.
            It goes before the `dead_letter` of `config`.
        publish_with_ordering_key: Beam's own: taken, and of no effect. Keys are always kept.

    Returns:
        A PCollection without elements.

    Raises:
        ConfigError: What was given is wrong, at `path`.
    """

    def __init__(
        self,
        topic: str | None = None,
        with_attributes: bool = True,  # noqa: ARG002 -- as in Beam
        *,
        config: str | os.PathLike[str] | Config | Mapping[str, Any] | None = None,
        ordering_key: str | Callable[[Any], str] | None = None,
        ordered: bool = False,
        dead_letter: DeadLetter | None = None,
        publish_with_ordering_key: bool = True,  # noqa: ARG002 -- as in Beam
    ) -> None:
        super().__init__()
        if topic is None and config is None:
            raise ConfigError("topic: missing: give it, or `config`", path="topic")
        if topic is not None:
            check_topic(topic, "topic")
        _check_ordering_key(ordering_key)
        check_dead_letter(dead_letter)
        settings = None if config is None else _publishing(Settings.given(config), topic)
        self._plan = Plan(settings, topic, ordering_key, keep_letters=dead_letter is not None)
        self._ordered = ordered
        self._dead_letter = dead_letter

    def with_dead_letter(self) -> beam.PTransform:
        """The same with two outputs: a transform that returns `Written`.

        Raises:
            ConfigError: `dead_letter` says already where they go.
        """
        if self._dead_letter is not None:
            message = "dead_letter: given already; use either it or `with_dead_letter()`"
            raise ConfigError(message, path="dead_letter")
        return _Apart(self)

    def expand(self, pcoll: beam.PCollection) -> beam.PCollection:
        """Publish a PCollection."""
        if self._dead_letter is None:
            pcoll, step = self._steps(pcoll, self._plan)
            published = pcoll | "Publish" >> step.with_output_types(None)
            _let_prism_rest(published)
            return published
        written = self.apart(pcoll)
        _ = written.dead_letters | "DeadLetters" >> write_letters(self._dead_letter)
        return written.published

    def apart(self, pcoll: beam.PCollection) -> Written:
        """Publish, with the dead letters as an output of their own."""
        # They come at a bundle's end, in no window of an element.
        pcoll = pcoll | "AllTime" >> beam.WindowInto(GlobalWindows())
        pcoll, step = self._steps(pcoll, self._plan._replace(keep_letters=True))
        step = step.with_output_types(None, dead_letters=PubsubMessage)
        outputs = pcoll | "Publish" >> step.with_outputs("dead_letters", main="published")
        _let_prism_rest(outputs.published)
        return Written(outputs.published, outputs.dead_letters)

    def display_data(self) -> dict[str, Any]:
        """What the runner's page shows."""
        return {"topic": self._plan.topic or "as configured", "ordered": self._ordered}

    def _steps(self, pcoll: beam.PCollection, plan: Plan) -> tuple[beam.PCollection, beam.ParDo]:
        """What the step that publishes takes, and that step."""
        warn_of_sink(pcoll, self.label, ordered=self._ordered)
        if not self._ordered:
            return pcoll, beam.ParDo(Publish(plan))
        by_lane = beam.ParDo(ByLane(plan)).with_output_types(tuple[str, MessageBatch])
        lanes = pcoll | "AllOrder" >> beam.WindowInto(GlobalWindows()) | "ByLane" >> by_lane
        return lanes, beam.ParDo(PublishInOrder(plan))


def _let_prism_rest(published: beam.PCollection) -> None:
    """Give the stage that ends here an output, which stays empty: nothing else consumes it.

    Prism 2.77 waits for a bundle and for the end of its outputs in one `select`, and has closed the
    channel for these already where a stage has none: it then spins on one core for as long as the
    bundle lasts (`internal/stage.go`, `Execute`; decision 32).
    """
    if type(published.pipeline.runner).__name__ == "PrismRunner":
        _ = published | "End" >> beam.Reshuffle() | "Nothing" >> beam.Filter(bool)


class _Apart(beam.PTransform):
    def __init__(self, transform: WriteToPubSub) -> None:
        super().__init__(transform.label)
        self._transform = transform

    def expand(self, pcoll: beam.PCollection) -> Written:
        return self._transform.apart(pcoll)


def _check_ordering_key(ordering_key: Any) -> None:
    if not (ordering_key is None or isinstance(ordering_key, str) or callable(ordering_key)):
        message = "ordering_key: expected text, or a function of an element"
        raise ConfigError(message, path="ordering_key")


def check_dead_letter(dead_letter: Any) -> None:
    """Check where dead letters are to go.

    Raises:
        ConfigError: That is neither a topic nor a transform.
    """
    if isinstance(dead_letter, str):
        check_topic(dead_letter, "dead_letter")
    elif not (dead_letter is None or isinstance(dead_letter, beam.PTransform)):
        message = (
            "dead_letter: expected a topic, projects/<project>/topics/<topic>, or a PTransform"
        )
        raise ConfigError(message, path="dead_letter")


def write_letters(dead_letter: DeadLetter) -> beam.PTransform:
    """What takes dead letters there."""
    return WriteToPubSub(dead_letter) if isinstance(dead_letter, str) else dead_letter


def _publishing(settings: Settings, topic: str | None) -> Settings:
    """The configuration, with `topic` where it has none."""
    tree = without_servers(settings.tree())
    if topic is not None and "pubsub" not in tree:
        tree = with_topic(tree, topic)
    for section in ("gcp", "pubsub"):
        if section not in tree:
            message = f"{section}: missing: publishing needs it"
            raise ConfigError(message, path=section)
    return Settings.of(tree)
