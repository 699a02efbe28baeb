"""`ValidateAndEnrich`: the core's transform, batch by batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import apache_beam as beam
from apache_beam.io.gcp.pubsub import PubsubMessage
from apache_beam.pvalue import TaggedOutput

from mongo_gcp_stream import log
from mongo_gcp_stream._core import ChangeBatch, ChangeEvent, MessageBatch
from mongo_gcp_stream.beam import elements as _elements  # noqa: F401 -- registers the coders
from mongo_gcp_stream.beam.metrics import EventCounters, counter, distribution
from mongo_gcp_stream.beam.settings import Settings, check_mapping, with_topic, without_servers
from mongo_gcp_stream.beam.stages import Apply, Stages
from mongo_gcp_stream.beam.write import DeadLetter, check_dead_letter, write_letters
from mongo_gcp_stream.errors import ConfigError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

    from mongo_gcp_stream.config import Config

    Options = Mapping[str, Any]


class Validated(NamedTuple):
    """What `ValidateAndEnrich.with_dead_letter` returns.

    Attributes:
        messages: PCollection of `MessageBatch`, for `WriteToPubSub`.
        dead_letters: PCollection of Beam's `PubsubMessage`, one for each event that made no
            message.
    """

    messages: beam.PCollection
    dead_letters: beam.PCollection


class _Transform(beam.DoFn):
    """Makes messages; the dead letters among them stay, or come out apart."""

    def __init__(self, stages: Stages, *, apart: bool) -> None:
        self._stages = stages
        self._apart = apart
        self._batch_size = distribution("batch_size")
        self._events = EventCounters()
        self._dead_lettered = counter("dead_lettered")

    def setup(self) -> None:
        log.start()
        self._apply = Apply(self._stages)

    def process(self, element: ChangeBatch | ChangeEvent) -> Iterator[MessageBatch | TaggedOutput]:
        batch = self._apply(element)
        self._batch_size.update(len(element) if isinstance(element, ChangeBatch) else 1)
        self._events.note(batch)
        if not (self._apart and batch.letters):
            yield batch
            return
        self._dead_lettered.inc(batch.letters)
        batch, letters = batch.split()
        for data, attributes in letters:
            yield TaggedOutput("dead_letters", PubsubMessage(data, attributes))
        if len(batch):
            yield batch


class ValidateAndEnrich(beam.PTransform):
    """Makes messages of change events: validated, enriched, protected, routed, formatted.

    The same stages as those of `mongo-gcp-stream run`, in Rust, with no Python for an event. An
    event that cannot be made a message, one that breaks a rule among them, fails its bundle, and
    the runner tries the bundle again: nothing is lost, and nothing goes on. Give `dead_letter`, or
    use `with_dead_letter()`, to have it kept elsewhere; or give `on_invalid` in the `validation` of
    `options`, to `drop` what breaks a rule or to let it `pass`. With `config` its own `on_invalid`
    counts, and what it makes dead letters of stays among the messages, for a `WriteToPubSub` of the
    same configuration to send where its `dead_letter` says; `dead_letter` here goes before that.

    Counts `invalid`, `skipped`, `dead_lettered` and `batch_size`, under `mongo_gcp_stream`.

    Args:
        config: A configuration: a file, a `Config`, or a mapping. The stages are those of each
            stream; the topics those of its routes.
        schemas: Without `config`: rules by the stream's name, as in the section `schemas`.
        options: Without `config`: what a source may have for its events, such as `validation`,
            `enrichment` or `protection`, for every stream.
        dead_letter: Where what cannot be made a message goes: a topic,
            `projects/<project>/topics/<topic>`, or a transform that takes `PubsubMessage`. The
            topic is published to in the same bundle.

    Returns:
        A PCollection of `MessageBatch`, for `WriteToPubSub`.

    Raises:
        ConfigError: A rule is wrong, at `path`.
    """

    def __init__(
        self,
        config: str | os.PathLike[str] | Config | Options | None = None,
        *,
        schemas: Options | None = None,
        options: Options | None = None,
        dead_letter: DeadLetter | None = None,
    ) -> None:
        super().__init__()
        if config is not None and (schemas or options):
            message = "config: has the rules; give either it or `schemas` and `options`"
            raise ConfigError(message, path="config")
        check_dead_letter(dead_letter)
        check_mapping("options", options)
        check_mapping("schemas", schemas)
        for stream, rules in (schemas or {}).items():
            check_mapping(f"schemas.{stream}", rules)
        self._settings = None if config is None else _whole(Settings.given(config))
        self._options, self._schemas = options, schemas
        self._dead_letter = dead_letter
        self._stages(apart=dead_letter is not None).check()

    def with_dead_letter(self) -> beam.PTransform:
        """The same with two outputs: a transform that returns `Validated`.

        Raises:
            ConfigError: `dead_letter` says already where they go.
        """
        if self._dead_letter is not None:
            message = "dead_letter: given already; use either it or `with_dead_letter()`"
            raise ConfigError(message, path="dead_letter")
        return _Apart(self)

    def expand(self, pcoll: beam.PCollection) -> beam.PCollection:
        """Apply the stages to a PCollection of `ChangeBatch` or `ChangeEvent`."""
        if self._dead_letter is not None:
            validated = self.apart(pcoll)
            _ = validated.dead_letters | "DeadLetters" >> write_letters(self._dead_letter)
            return validated.messages
        apply = beam.ParDo(_Transform(self._stages(apart=False), apart=False))
        return pcoll | "Apply" >> apply.with_output_types(MessageBatch)

    def apart(self, pcoll: beam.PCollection) -> Validated:
        """Apply the stages, with the dead letters as an output of their own."""
        apply = beam.ParDo(_Transform(self._stages(apart=True), apart=True))
        apply = apply.with_output_types(MessageBatch, dead_letters=PubsubMessage)
        outputs = pcoll | "Apply" >> apply.with_outputs("dead_letters", main="messages")
        return Validated(outputs.messages, outputs.dead_letters)

    def _stages(self, *, apart: bool) -> Stages:
        return Stages(self._settings, self._options, self._schemas, dead_letters=apart)


class _Apart(beam.PTransform):
    def __init__(self, transform: ValidateAndEnrich) -> None:
        super().__init__(transform.label)
        self._transform = transform

    def expand(self, pcoll: beam.PCollection) -> Validated:
        return self._transform.apart(pcoll)


def _whole(settings: Settings) -> Settings:
    """A configuration that needs no topic yet has a placeholder for it."""
    tree = without_servers(settings.tree())
    if "pubsub" in tree and "gcp" in tree:
        return Settings.of(tree)
    return Settings.of(with_topic(tree, "projects/any-project/topics/any-topic"))
