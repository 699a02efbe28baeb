"""What the arguments of a read mean: which streams, of which configuration, up to where."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mongo_gcp_stream.beam.settings import Settings, check_mapping, of_source
from mongo_gcp_stream.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mongo_gcp_stream.beam.restriction import ClusterTime

_HINT = "The guide to the configuration lists what a source may have, with its meaning."


def only_without_config(**arguments: object) -> None:
    """Check that nothing is said twice.

    Raises:
        ConfigError: One of the arguments is given, and `config` is too.
    """
    for name, given in arguments.items():
        if given is not None:
            message = f"{name}: `config` says it already; give either it or `config`"
            raise ConfigError(message, path=name)


def one_source(
    *,
    uri: str | None,
    database: str | None,
    collection: str | None,
    connection: str | None,
    name: str | None,
    options: Mapping[str, Any] | None,
) -> tuple[str, Settings]:
    """The name of the stream that is described by arguments, and its configuration.

    Raises:
        ConfigError: An argument is wrong, at `path`.
    """
    if uri is None:
        raise ConfigError("uri: missing: give it, or `config`", path="uri")
    check_mapping("options", options)
    described = dict(options or {})
    for key, value in (("database", database), ("collection", collection)):
        if value is not None and key in described:
            message = f"options.{key}: `{key}` says it already; give either of them"
            raise ConfigError(message, path=f"options.{key}")
    if not {"database", "scope"} & described.keys() and database is None and collection is None:
        described["scope"] = "deployment"
    connection = _name("connection_id", "main" if connection is None else connection)
    default = collection or database or "deployment"
    name = _name("source_name", default if name is None else name)
    try:
        settings = of_source(uri, database, collection, f"{connection}.{name}", described)
    except ConfigError as error:
        raise _of_argument(error, f"mongodb.connections.{connection}.", name) from None
    return f"{connection}.{name}", settings


def _name(argument: str, name: str) -> str:
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_-]{1,100}", name):
        message = f"{argument}: expected 1 to 100 letters, digits, `_` and `-`, not {name!r}"
        hint = f"Give `{argument}`: the name that the stream is to have."
        raise ConfigError(message, path=argument, hint=hint)
    return name


def _of_argument(error: ConfigError, connection: str, name: str) -> ConfigError:
    """The same error, about the argument that the user gave instead of about the key of a file."""
    key = error.path.removeprefix(connection)
    argument = key.removeprefix(f"sources.{name}.")
    if argument != key and argument not in {"database", "collection"}:
        argument = f"options.{argument}"
    message = str(error).replace(error.path, argument)
    return ConfigError(message, path=argument, hint=_HINT)


def streams(settings: Settings, source: str | None) -> list[str]:
    """The stream that is asked for, or all.

    Raises:
        ConfigError: There is none of this name.
    """
    known = settings.streams()
    if source is None:
        return known
    if source not in known:
        names = ", ".join(known)
        message = f"source: no stream is called `{source}`; there is {names}"
        raise ConfigError(message, path="source")
    return [source]


def end(moment: datetime | None) -> ClusterTime | None:
    """The last cluster time of the second of `moment`.

    Raises:
        ConfigError: It is no moment that MongoDB has a cluster time for.
    """
    if moment is None:
        return None
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        message = "end_at: expected a datetime with a time zone, such as timezone.utc"
        raise ConfigError(message, path="end_at")
    seconds = int(moment.timestamp())
    if not 0 < seconds < 1 << 32:
        message = "end_at: expected a moment that MongoDB has a cluster time for, 1970 to 2106"
        raise ConfigError(message, path="end_at")
    return seconds, 0xFFFF_FFFF
