"""`ValidateAndEnrich`: the core's transform, batch by batch."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import apache_beam as beam

from mongo_gcp_stream import log
from mongo_gcp_stream._core import ChangeBatch, ChangeEvent, MessageBatch, Transform
from mongo_gcp_stream.beam import elements as _elements  # noqa: F401 -- registers the coders
from mongo_gcp_stream.beam.settings import Settings, of_stages, with_topic
from mongo_gcp_stream.errors import ConfigError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

    from mongo_gcp_stream.config import Config

    Options = Mapping[str, Any]


class Stages:
    """What is done with the events of any stream; picklable, compiled where it is used.

    Args:
        settings: A whole configuration; without it, `options` and `schemas`.
        options: The part of a source that is about its events, such as `enrich`, for every stream.
        schemas: Rules by the stream's name.
    """

    def __init__(
        self, settings: Settings | None, options: Options, schemas: Options | None
    ) -> None:
        self._settings = settings
        self._options = dict(options)
        self._schemas = {name: dict(rules) for name, rules in (schemas or {}).items()}

    def check(self) -> None:
        """Compile what is known by name already.

        Raises:
            ConfigError: It is wrong, at `path`.
        """
        known = self._settings.streams() if self._settings else [*self._schemas]
        for stream in known or ["main.any"]:
            if stream.count(".") != 1:
                message = f"schemas.{stream}: expected `<connection>.<source>`"
                raise ConfigError(message, path=f"schemas.{stream}")
            self.of(stream)

    def of(self, stream: str) -> Transform:
        """The transform of a stream, compiled once in a process.

        Raises:
            ConfigError: The configuration has no such stream.
        """
        settings = self._settings or of_stages(stream, self._options, self._schemas)
        with _lock:
            transform = _compiled.get((settings, stream))
            if transform is None:
                transform = Transform(settings.checked(), stream)
                _compiled[settings, stream] = transform
        return transform


_compiled: dict[tuple[Settings, str], Transform] = {}
_lock = threading.Lock()


class Apply:
    """Applies stages to batches and events; for the life of one DoFn."""

    def __init__(self, stages: Stages) -> None:
        self._stages = stages
        self._known: dict[str, Transform] = {}

    def __call__(self, element: ChangeBatch | ChangeEvent) -> MessageBatch:
        transform = self._known.get(element.stream)
        if transform is None:
            transform = self._known[element.stream] = self._stages.of(element.stream)
        return transform.apply(element if isinstance(element, ChangeBatch) else element.as_batch())


class _Transform(beam.DoFn):
    def __init__(self, stages: Stages) -> None:
        self._stages = stages

    def setup(self) -> None:
        log.start()
        self._apply = Apply(self._stages)

    def process(self, element: ChangeBatch | ChangeEvent) -> Iterator[MessageBatch]:
        yield self._apply(element)


class ValidateAndEnrich(beam.PTransform):
    """Makes messages of change events: validated, enriched, protected, routed, formatted.

    The same stages as those of `mongo-gcp-stream run`, in Rust, with no Python for an event. An
    event that breaks a rule fails its bundle, and the runner tries the bundle again: give
    `on_invalid` to the source's `validation` to drop it or to let it pass.

    Args:
        config: A configuration: a file, a `Config`, or a mapping. The stages are those of each
            stream; the topics those of its routes.
        schemas: Without `config`: rules by the stream's name, as in the section `schemas`.
        options: Without `config`: what a source may have for its events, such as `validation`,
            `enrichment` or `protection`, for every stream.

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
    ) -> None:
        super().__init__()
        if config is not None and (schemas or options):
            message = "config: has the rules; give either it or `schemas` and `options`"
            raise ConfigError(message, path="config")
        settings = None if config is None else _whole(Settings.given(config))
        self._stages = Stages(settings, options or {}, schemas)
        self._stages.check()

    def expand(self, pcoll: beam.PCollection) -> beam.PCollection:
        """Apply the stages to a PCollection of `ChangeBatch` or `ChangeEvent`."""
        return pcoll | "Apply" >> beam.ParDo(_Transform(self._stages)).with_output_types(
            MessageBatch
        )


def _whole(settings: Settings) -> Settings:
    """A configuration that needs no topic yet has a placeholder for it."""
    tree = settings.tree()
    if "pubsub" in tree and "gcp" in tree:
        return Settings.of({"checkpoint": {"store": "memory"}, **tree})
    return Settings.of(with_topic(tree, "projects/any-project/topics/any-topic"))
