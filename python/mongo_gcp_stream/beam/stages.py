"""What is done with the events of a stream before they are published: the core's transform."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from mongo_gcp_stream._core import ChangeBatch, ChangeEvent, MessageBatch, Transform
from mongo_gcp_stream.beam.settings import Settings, of_stages, with_letters
from mongo_gcp_stream.errors import ConfigError, MongoGcpStreamError, StreamFailedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    Options = Mapping[str, Any]


class Stages:
    """What is done with the events of any stream; picklable, compiled where it is used.

    Args:
        settings: A whole configuration; without it, `options` and `schemas`.
        options: The part of a source that is about its events, such as `enrich`, for every stream.
        schemas: Rules by the stream's name.
        dead_letters: Whether what cannot be made a message becomes a dead letter.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        options: Options | None = None,
        schemas: Options | None = None,
        *,
        dead_letters: bool = False,
    ) -> None:
        self._settings = with_letters(settings) if settings and dead_letters else settings
        self._options = dict(options or {})
        self._schemas = {name: dict(rules) for name, rules in (schemas or {}).items()}
        self._dead_letters = dead_letters

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
            Transform(self._of(stream).checked(), stream)

    def of(self, stream: str) -> Transform:
        """The transform of a stream, compiled once in a process.

        Raises:
            ConfigError: The configuration has no such stream.
            MongoGcpStreamError: A secret that it names cannot be read.
        """
        settings = self._of(stream)
        with _lock:
            transform = _compiled.get((settings, stream))
            if transform is None:
                transform = Transform(settings.transforming(), stream)
                _compiled[settings, stream] = transform
        return transform

    def _of(self, stream: str) -> Settings:
        return self._settings or of_stages(
            stream, self._options, self._schemas, dead_letters=self._dead_letters
        )


_compiled: dict[tuple[Settings, str], Transform] = {}
_lock = threading.Lock()


class Apply:
    """Applies stages to batches and events; for the life of one DoFn."""

    def __init__(self, stages: Stages) -> None:
        self._stages = stages
        self._known: dict[str, Transform] = {}

    def __call__(self, element: ChangeBatch | ChangeEvent) -> MessageBatch:
        """The messages of a batch or an event.

        Raises:
            StreamFailedError: An event cannot be made a message, and may not become a dead letter.
            TypeError: It is neither.
        """
        if not isinstance(element, (ChangeBatch, ChangeEvent)):
            raise TypeError(
                f"expected ChangeBatch or ChangeEvent, as ReadFromMongoDBChangeStream gives them, "
                f"not {type(element).__name__}"
            )
        stream = element.stream
        transform = self._known.get(stream)
        if transform is None:
            transform = self._known[stream] = self._stages.of(stream)
        batch = element if isinstance(element, ChangeBatch) else element.as_batch()
        try:
            return transform.apply(batch)
        except MongoGcpStreamError as error:
            # The text is all that runners show.
            message = f"{stream}: {error}. {error.hint}"
            raise StreamFailedError(message, stream_id=stream, hint=error.hint) from error
