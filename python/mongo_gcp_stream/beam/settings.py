"""From the arguments of a transform to a configuration, as a file would hold it."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Mapping
from typing import Any

from mongo_gcp_stream.beam import secrets
from mongo_gcp_stream.config import Config, load_config
from mongo_gcp_stream.errors import ConfigError

Options = Mapping[str, Any]

#: Where no server is asked: to check what is known before a secret is.
_NOWHERE = "mongodb://localhost"

#: A key of protection, to check what is known before a secret is.
_ANY_KEY = "any key of protection"

#: A place for dead letters, for a transform: it writes nothing.
_ANY_PLACE = {"file": {"path": "any"}}

#: What publishes keeps no position.
_IN_MEMORY = {"store": "memory"}

MESSAGES = "beam.messages"
"""How the stream is called that messages are of which are made of no event."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """A whole configuration, checked; hashable, and picklable with a transform.

    Attributes:
        text: JSON text of the mapping. A secret that was given by reference is in it by reference.
    """

    text: str = dataclasses.field(repr=False)

    @classmethod
    def of(cls, tree: Mapping[str, Any]) -> Settings:
        """Check a configuration.

        Raises:
            ConfigError: It is wrong, at `path`.
        """
        return cls(Config.of(tree).to_json())

    @classmethod
    def given(cls, config: str | os.PathLike[str] | Config | Mapping[str, Any]) -> Settings:
        """Read a configuration that the user has, from a file or as it is."""
        if isinstance(config, (str, os.PathLike)):
            return cls(load_config(config).to_json())
        return cls(Config.of(config).to_json())

    def tree(self) -> dict[str, Any]:
        """The mapping as it would stand in a file: to be changed, and checked once more."""
        tree: dict[str, Any] = json.loads(self.text)
        # No variable is looked for in `transforms`.
        return {key: part if key == "transforms" else _written(part) for key, part in tree.items()}

    def streams(self) -> list[str]:
        """The names of its streams, `<connection id>.<source name>`."""
        connections = self.tree()["mongodb"]["connections"]
        return [f"{id_}.{name}" for id_, at in connections.items() for name in at["sources"]]

    def without_checkpoint(self) -> Settings:
        """The same for what keeps no position: the store's password stays here."""
        return Settings.of({key: it for key, it in self.tree().items() if key != "checkpoint"})

    def has_letters(self) -> bool:
        """Whether it has a place for dead letters."""
        tree = self.tree()
        handling = tree.get("error_handling", {})
        return bool(tree.get("dead_letter") or handling.get("dead_letter_topic"))

    def checked(self) -> str:
        """JSON text for checks that need no secret, and for what publishes messages."""
        return self._with_secrets(uri=lambda _: _NOWHERE, key=lambda _: _ANY_KEY)

    def transforming(self) -> str:
        """JSON text for the core's transform, on the worker: it protects, and connects to nothing.

        Raises:
            MongoGcpStreamError: The secret of `protection.key` cannot be read.
        """
        return self._with_secrets(uri=lambda _: _NOWHERE, key=secrets.resolve)

    def resolved(self) -> str:
        """JSON text with the secrets in place: for the core, on the worker.

        Raises:
            MongoGcpStreamError: One cannot be read.
        """
        return self._with_secrets(uri=secrets.resolve, key=secrets.resolve)

    def _with_secrets(self, *, uri: Callable[[str], str], key: Callable[[str], str]) -> str:
        tree = json.loads(self.text)
        connections = tree["mongodb"]["connections"].values()
        places = [(at, "uri", uri) for at in (*connections, tree.get("checkpoint", {}))]
        places.append((tree.get("protection", {}), "key", key))
        named = [place for place in places if secrets.is_reference(place[0].get(place[1]))]
        for section, name, value in named:
            section[name] = value(section[name])
        return json.dumps(tree) if named else self.text


def _written(value: Any) -> Any:
    """What has its variables in place, so that what looks like one in it stays as it is."""
    if isinstance(value, dict):
        return {key: _written(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_written(part) for part in value]
    return value.replace("${", "$${") if isinstance(value, str) else value


def of_source(
    uri: str, database: str | None, collection: str | None, stream: str, options: Options
) -> Settings:
    """The configuration of one source.

    Raises:
        ConfigError: What was given does not fit together, at `path`.
    """
    connection, _, source = stream.partition(".")
    described = {**options}
    if database is not None:
        described["database"] = database
    if collection is not None:
        described["collection"] = collection
    connections = {connection: {"uri": uri, "sources": {source: described}}}
    return Settings.of({"mongodb": {"connections": connections}})


def of_stages(
    stream: str, options: Options, schemas: Options | None, *, dead_letters: bool = False
) -> Settings:
    """The configuration of what is done with the events of a stream, wherever they come from."""
    connection, _, source = stream.partition(".")
    # A bundle that fails is tried again: nothing is lost, and nothing goes where nobody looks.
    on_invalid = "dead_letter" if dead_letters else "fail"
    validation = {"on_invalid": on_invalid, **options.get("validation", {})}
    described = {"scope": "deployment", **options, "validation": validation}
    connections = {connection: {"uri": _NOWHERE, "sources": {source: described}}}
    tree: dict[str, Any] = {"mongodb": {"connections": connections}}
    if dead_letters:
        tree["dead_letter"] = _ANY_PLACE
    if schemas and stream in schemas:
        tree["schemas"] = {stream: dict(schemas[stream])}
    return Settings.of(with_topic(tree, "projects/any-project/topics/any-topic"))


def of_messages(settings: Settings | None, topic: str) -> Settings:
    """The configuration of publishing what is made of no event, as the stream `MESSAGES`."""
    connection, _, source = MESSAGES.partition(".")
    source_of_none = {"uri": _NOWHERE, "sources": {source: {"scope": "deployment"}}}
    mongodb = {"mongodb": {"connections": {connection: source_of_none}}}
    if settings is None:
        return Settings.of(with_topic(mongodb, topic))
    kept = ("gcp", "pubsub", "error_handling", "dead_letter", "flow")
    tree = {name: section for name, section in settings.tree().items() if name in kept}
    # Its rules are about streams that are not there.
    tree["pubsub"].pop("routing", None)
    return Settings.of({**mongodb, **tree, "checkpoint": _IN_MEMORY})


def without_servers(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The same configuration for what connects to no MongoDB: no password travels with it."""
    mongodb = tree["mongodb"]
    connections = {
        id_: {**connection, "uri": _NOWHERE} for id_, connection in mongodb["connections"].items()
    }
    mongodb = {**mongodb, "connections": connections}
    return {**tree, "mongodb": mongodb, "checkpoint": _IN_MEMORY}


def with_letters(settings: Settings) -> Settings:
    """The same configuration with a place for dead letters, where it has none."""
    tree = settings.tree()
    if settings.has_letters():
        return settings
    return Settings.of({**tree, "dead_letter": _ANY_PLACE})


def with_topic(tree: Mapping[str, Any], topic: str) -> dict[str, Any]:
    """The same configuration with `topic` as its only one."""
    project, name = map(_written, parts_of_topic(topic))
    return {
        **tree,
        "checkpoint": _IN_MEMORY,
        "gcp": {**tree.get("gcp", {}), "project_id": project},
        "pubsub": {**tree.get("pubsub", {}), "topics": {"default": {"name": name}}},
    }


def parts_of_topic(topic: str) -> tuple[str, str]:
    """Project and name of `projects/<project>/topics/<name>`.

    Raises:
        ConfigError: It is not written so.
    """
    parts = topic.split("/") if isinstance(topic, str) else []
    if len(parts) != 4 or parts[0] != "projects" or parts[2] != "topics" or not all(parts):
        message = "topic: expected projects/<project>/topics/<topic>"
        raise ConfigError(message, path="topic", hint="Write it as the console shows it.")
    return parts[1], parts[3]


def check_mapping(argument: str, given: object) -> None:
    """Check what has to be a mapping where it is given.

    Raises:
        ConfigError: It is none, at `argument`.
    """
    if not (given is None or isinstance(given, Mapping)):
        raise ConfigError(f"{argument}: expected a mapping", path=argument)


def check_topic(topic: str, argument: str) -> None:
    """Check a topic that was given as `argument`.

    Raises:
        ConfigError: It is none, at `argument`.
    """
    try:
        of_messages(None, topic)
    except ConfigError as error:
        message = (
            f"{argument}: expected projects/<project>/topics/<topic>: a project's id, and 3 to 255 "
            "letters, digits and - . _ ~ + %, the first a letter"
        )
        hint = "Write it as the console shows it."
        raise ConfigError(message, path=argument, hint=hint) from error
