"""Configurations for Python programs: the file that `mongo-gcp-stream run` takes, as a mapping."""

from __future__ import annotations

import copy
import json
import logging
import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mongo_gcp_stream._core import resolve_file, resolve_mapping
from mongo_gcp_stream.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = ["Config", "ConfigManager", "Section", "load_config"]

_logger = logging.getLogger(__name__)

#: What a key does not have.
_MISSING: Any = object()

#: A part of a dotted key: a name, or one in quotes that has dots itself.
_PART = re.compile(r'"([^"]*)"|([^."]+)')

_KEY = re.compile(r'("[^"]*"|[^."]+)(\.("[^"]*"|[^."]+))*')


class Section(Mapping[str, Any]):
    """A part of a configuration: a read-only mapping whose `repr` shows no secret.

    Sections within it are `Section`, lists are copies, texts, numbers and booleans are as they were
    written; what was not written has the default that `config/config.yaml` tells.
    """

    __slots__ = ("_shown", "_values")

    def __init__(self, values: dict[str, Any], shown: dict[str, Any]) -> None:
        self._values = values
        self._shown = shown

    def __getitem__(self, key: str) -> Any:
        return self._wrap(key, self._values[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key, also of a dotted one: `get("mongodb.connections.main.uri")`.

        `default` is for a key that the user did not write and that has no default of its own. A
        part of the key that has dots itself, such as the name of a stream, may stand in quotes:
        `get('schemas."main.orders"')`.
        """
        if not _KEY.fullmatch(key):
            return default
        section: Any = self
        for part in _parts(key):
            if not isinstance(section, Section) or part not in section:
                return default
            section = section[part]
        return section

    def to_dict(self) -> dict[str, Any]:
        """A copy as plain dicts and lists. It holds the secrets, and so does its `repr`."""
        return copy.deepcopy(self._values)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._shown!r})"

    def __copy__(self) -> Section:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Section:
        """Nothing in it changes."""
        return self

    def _wrap(self, key: str, value: Any) -> Any:
        if isinstance(value, dict):
            shown = self._shown.get(key)
            return Section(value, shown if isinstance(shown, dict) else {})
        return copy.deepcopy(value) if isinstance(value, list) else value


class Config(Section):
    """A whole configuration, checked, with its variables in place.

    Made by `load_config`, or of a mapping by `Config.of`. It can be pickled: the pickle holds the
    secrets, and means the same in another process, whatever its files and its environment.

    Example:
        ```python
        config = load_config("config.yaml")
        config.get("mongodb.connections.main.sources.orders.batch_size", default=50)
        ```
    """

    __slots__ = ("_trees",)

    def __init__(self, trees: tuple[str, str, str]) -> None:
        """`trees` is what the core gives; see `load_config` and `Config.of`."""
        _, effective, shown = trees
        super().__init__(json.loads(effective), json.loads(shown))
        self._trees = trees

    @classmethod
    def of(cls, config: Config | ConfigManager | Mapping[str, Any]) -> Config:
        """What a `Config`, a `ConfigManager` or a mapping stands for.

        A mapping is treated as what stands in a file: `${VAR}` and overrides are taken from the
        environment and from `.env` in the working directory.

        Raises:
            ConfigError: It is wrong, at `path`.
        """
        if isinstance(config, Config):
            return config
        if isinstance(config, ConfigManager):
            return config.config
        try:
            text = json.dumps(config, default=_plain)
        except (TypeError, ValueError) as error:
            message = "configuration: expected a mapping of texts, numbers, booleans and lists"
            raise ConfigError(message, path="configuration") from error
        return cls._resolved(*resolve_mapping(text))

    @classmethod
    def _resolved(cls, written: str, effective: str, shown: str, warnings: list[str]) -> Config:
        for warning in warnings:
            _logger.warning("%s", warning)
        return cls((written, effective, shown))

    def to_json(self) -> str:
        """What was written, as JSON text, overrides, variables and secrets in place."""
        return self._trees[0]

    def require(self, keys: Sequence[str]) -> None:
        """Makes sure that these dotted keys are there, and not empty.

        Raises:
            ConfigError: One is not, at `path`.
        """
        for key in [keys] if isinstance(keys, str) else keys:
            if self.get(key) in (None, "", [], {}):
                message = f"{key}: missing: this program needs it"
                raise ConfigError(message, path=key, hint="Set it in the configuration file.")

    def __reduce__(self) -> tuple[type[Config], tuple[tuple[str, str, str]]]:
        return (Config, (self._trees,))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Config) and self._trees == other._trees

    def __hash__(self) -> int:
        return hash(self._trees)


def load_config(path: str | os.PathLike[str], required_keys: Sequence[str] | None = None) -> Config:
    """Reads a configuration file, as `mongo-gcp-stream run` does.

    With it come the `.env` beside it, `${VAR}`, and overrides such as
    `MONGO_GCP_STREAM__MONGODB__CONNECTIONS__MAIN__URI`.

    The sections `gcp`, `pubsub` and `checkpoint`, which `run` needs, may be missing.

    Args:
        path: The YAML file.
        required_keys: Dotted keys that have to be there, and not empty.

    Raises:
        ConfigError: The file cannot be read, a key is wrong, or a required one is missing; `path`
            names it. A `ValueError`, too.
    """
    config = Config._resolved(*resolve_file(path))  # noqa: SLF001 -- of this module
    config.require(required_keys or ())
    return config


class ConfigManager:
    """The original's way to a configuration: `get` looks into the environment first.

    Args:
        config_path: The YAML file.
        required_keys: Dotted keys that have to be there, and not empty.

    Raises:
        ConfigError: As `load_config`; a `ValueError`, too.
    """

    def __init__(self, config_path: str | Path, required_keys: Sequence[str] | None = None) -> None:
        self.config: Config = load_config(config_path, required_keys)

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a dotted key, or of its variable.

        For a key `a.b` that exists, the environment variable `A_B` goes before the file; it becomes
        a number or a boolean where the file has one. Sections and lists have no variable. Only
        `get` looks there: for what a manager does, override the key itself, as in `load_config`.

        Raises:
            ConfigError: The variable does not hold what the key wants.
        """
        value = self.config.get(key, _MISSING)
        if value is _MISSING:
            return default
        name = key.upper().replace(".", "_")
        text = os.environ.get(name)
        return (
            value
            if text is None or isinstance(value, (Section, list))
            else _as(type(value), text, key, name)
        )

    def __repr__(self) -> str:
        return f"ConfigManager({self.config!r})"


def _parts(key: str) -> list[str]:
    return [quoted or plain for quoted, plain in _PART.findall(key)]


def _plain(value: object) -> object:
    """Mappings, paths and the like as JSON has them."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (tuple, set, frozenset)):
        return list(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    message = f"{type(value).__name__} has no place in a configuration"
    raise TypeError(message)


def _as(kind: type, text: str, key: str, name: str) -> Any:
    if kind is bool:
        known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
        if text.lower() in known:
            return known[text.lower()]
    elif kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    elif kind is str:
        return text
    message = f"{key}: the variable {name} has to hold a {kind.__name__}"
    raise ConfigError(message, path=key, hint=f"Correct or unset {name}.")
