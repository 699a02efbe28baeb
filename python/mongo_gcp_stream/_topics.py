"""The topics of a sink: what `topic_config` says of them, and messages made for them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from mongo_gcp_stream import _documents
from mongo_gcp_stream.errors import ConfigError, PublishError, TopicNotFoundError

Data: TypeAlias = Mapping[str, Any] | str | bytes
"""What a message carries: a document, or text or bytes that are sent as they are."""


class Message(NamedTuple):
    """A message as the core takes it."""

    topic: str
    data: bytes
    attributes: dict[str, str]
    ordering_key: str


_PATH = re.compile(r"projects/[^/]+/topics/(?!goog)[A-Za-z][A-Za-z0-9._~+%-]{2,254}")
_KEYS = {"name", "batch_size", "attributes", "ordering_key"}
# Of `pubsub.topics` in a configuration, which may stand here as it is.
_OF_CONFIGURATION = {"description", "envelope", "json_mode", "bigquery", "subscriptions"}


@dataclass(frozen=True)
class Topic:
    """One topic of a sink."""

    name: str
    """As the sink's caller names it."""
    path: str
    """`projects/<project>/topics/<topic>`."""
    batch_size: int = 1000
    attributes: dict[str, str] = field(default_factory=dict)
    ordering_key: str | None = None
    """Dotted path of the field whose value is the ordering key."""

    def message(
        self, data: Data, attributes: Mapping[str, str] | None, ordering_key: str | None
    ) -> Message:
        """Make a message of data.

        Raises:
            PublishError: The data has no place in BSON, or the topic's ordering key cannot be found
                in it because it is no JSON object.
            TypeError: The data is of another type, or an attribute is no text.
        """
        merged = {**self.attributes, **(attributes or {})}
        for key, value in merged.items():
            if not isinstance(key, str) or not isinstance(value, str):
                raise TypeError(f"attributes are texts: {key!r} is a {type(value).__name__}")
        try:
            encoded = _encoded(data)
            key = self._key(data) if ordering_key is None else ordering_key
        except ValueError as error:
            message = f"the message for {self.name} cannot be made: {error}"
            raise PublishError(message, self.name, error) from None
        return Message(self.path, encoded, merged, key)

    def _key(self, data: Data) -> str:
        if self.ordering_key is None:
            return ""
        if not isinstance(data, Mapping):
            value = _documents.find(_parsed(data), self.ordering_key)
            return _text(value)
        value = _documents.find(data, self.ordering_key)
        if isinstance(value, str) or value is None or value is _documents.MISSING:
            return _text(value)
        return _text(json.loads(_documents.to_json({"key": value}))["key"])


def topics(project_id: str, topic_config: Mapping[str, Any]) -> dict[str, Topic]:
    """Read `topic_config`.

    Raises:
        ConfigError: Something in it is wrong; `path` names it.
    """
    if not topic_config:
        raise _wrong("topic_config", "at least one topic is needed")
    return {name: _topic(project_id, name, config) for name, config in topic_config.items()}


def named(topics: Mapping[str, Topic], name: str) -> Topic:
    """Return the topic that the sink's caller means.

    Raises:
        TopicNotFoundError: The sink has none of this name.
    """
    topic = topics.get(name)
    if topic is None:
        known = ", ".join(sorted(topics))
        hint = f"Its topics are: {known}."
        raise TopicNotFoundError(f"the sink has no topic {name!r}", name, hint=hint)
    return topic


def _topic(project_id: str, name: str, config: object) -> Topic:
    at = f"topic_config.{name}"
    if isinstance(config, str):
        config = {"name": config}
    if config is None:
        config = {}
    if not isinstance(config, Mapping):
        raise _wrong(at, "expected a mapping")
    unknown = sorted(set(config) - _KEYS - _OF_CONFIGURATION)
    if unknown:
        known = ", ".join(sorted(_KEYS))
        raise _wrong(f"{at}.{unknown[0]}", f"unknown key; known here: {known}")
    path = config.get("name") or name
    if "/" not in path:
        path = f"projects/{project_id}/topics/{path}"
    if not _PATH.fullmatch(path):
        raise _wrong(f"{at}.name", "expected a topic's name, short or `projects/…/topics/…`")
    return Topic(
        name=name,
        path=path,
        batch_size=_batch_size(config.get("batch_size"), at),
        attributes=_attributes(config.get("attributes"), at),
        ordering_key=_ordering_key(config.get("ordering_key"), at),
    )


def _batch_size(size: object, at: str) -> int:
    if size is None:
        return 1000
    if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= 1000:
        raise _wrong(f"{at}.batch_size", "expected a number from 1 to 1000")
    return size


def _attributes(attributes: object, at: str) -> dict[str, str]:
    if attributes is None:
        return {}
    if not isinstance(attributes, Mapping):
        raise _wrong(f"{at}.attributes", "expected a mapping of texts")
    for key, value in attributes.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise _wrong(f"{at}.attributes.{key}", "expected a text")
    return dict(attributes)


def _ordering_key(path: object, at: str) -> str | None:
    if path is None or (isinstance(path, str) and path):
        return path
    raise _wrong(f"{at}.ordering_key", "expected the path of a field")


def _wrong(path: str, message: str) -> ConfigError:
    hint = "See docs/guide/python-sink-and-validator.md for the keys."
    return ConfigError(f"{path}: {message}", path=path, hint=hint)


def _encoded(data: Data) -> bytes:
    if isinstance(data, bytes):
        return data
    if isinstance(data, str):
        return data.encode()
    if isinstance(data, Mapping):
        return _documents.to_json(data)
    raise TypeError(f"data is a dict, a str or bytes, not a {type(data).__name__}")


def _parsed(data: str | bytes) -> object:
    try:
        parsed = json.loads(data)
    except ValueError:
        parsed = None
    if isinstance(parsed, dict):
        return parsed
    message = "the topic has an `ordering_key`, and the data is no JSON object to find it in"
    raise ValueError(message)


def _text(value: object) -> str:
    """Return the ordering key that a value of relaxed Extended JSON makes."""
    if value is None or value is _documents.MISSING:
        return ""
    if isinstance(value, dict) and len(value) == 1:
        ((name, inner),) = value.items()
        # An object id, a date or a decimal is known by its text.
        if name.startswith("$") and isinstance(inner, str):
            return inner
    if isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
