"""Transforms of the user's own, which a configuration names: `transforms.transforms[]`."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import Any, NamedTuple

import apache_beam as beam

from mongo_gcp_stream.errors import ConfigError

_HINT = (
    "Each has `name`, a class, and `module`, where it is imported from; `config` holds what it is "
    "made with, and `enabled: false` leaves it out."
)


class Named(NamedTuple):
    """A transform, and how the runner's page calls it."""

    label: str
    transform: beam.PTransform


def load_transforms(section: Mapping[str, Any] | None) -> list[Named]:
    """The transforms of the section `transforms`, in its order, without those that are disabled.

    Args:
        section: `{transforms: [{name, module, enabled, config}]}`: the class `name` of `module`, a
            `PTransform` or a `DoFn`, called with the keys of `config`.

    Raises:
        ConfigError: One of them is described wrongly, cannot be imported, or does not take its
            `config`, at `path`.
    """
    listed = (section or {}).get("transforms") or []
    if not isinstance(listed, list):
        raise _wrong("transforms.transforms", "expected a list")
    loaded = []
    for index, described in enumerate(listed):
        path = f"transforms.transforms[{index}]"
        validate_transform_config(described, path)
        if described.get("enabled", True):
            label = f"{index + 1} {described['name']}"
            loaded.append(Named(label, _made(described, path)))
    return loaded


def validate_transform_config(described: Any, path: str) -> None:
    """Check what can be told without importing anything.

    Raises:
        ConfigError: Something is missing or of another kind, at `path`.
    """
    if not isinstance(described, Mapping):
        raise _wrong(path, "expected a mapping")
    kinds = {"name": str, "module": str, "enabled": bool, "config": Mapping}
    for key, value in described.items():
        if key not in kinds:
            raise _wrong(f"{path}.{key}", "unknown key")
        if not isinstance(value, kinds[key]):
            raise _wrong(f"{path}.{key}", f"expected a {kinds[key].__name__.lower()}")
    for key in ("name", "module"):
        if not described.get(key):
            raise _wrong(f"{path}.{key}", "missing")


def _made(described: Mapping[str, Any], path: str) -> beam.PTransform:
    kind = _imported(described["module"], described["name"], path)
    config = described.get("config", {})
    try:
        inspect.signature(kind).bind(**config)
    except TypeError as error:
        message = f"{described['name']} does not take these keys: {error}"
        raise _wrong(f"{path}.config", message) from None
    made = kind(**config)
    return beam.ParDo(made) if isinstance(made, beam.DoFn) else made


def _imported(module: str, name: str, path: str) -> type[beam.PTransform | beam.DoFn]:
    try:
        kind = getattr(importlib.import_module(module), name)
    except ImportError as error:
        message = f"{module} cannot be imported: {error}"
        raise _wrong(f"{path}.module", message) from error
    except AttributeError as error:
        raise _wrong(f"{path}.name", f"{module} has no {name}") from error
    if not (inspect.isclass(kind) and issubclass(kind, (beam.PTransform, beam.DoFn))):
        raise _wrong(f"{path}.name", f"{name} is neither a PTransform nor a DoFn")
    return kind


def _wrong(path: str, message: str) -> ConfigError:
    return ConfigError(f"{path}: {message}", path=path, hint=_HINT)
