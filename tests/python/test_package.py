"""What `import mongo_gcp_stream` gives."""

from __future__ import annotations

import importlib.metadata
import pickle
from importlib.resources import files
from typing import TYPE_CHECKING

import mongo_gcp_stream
import pytest
from mongo_gcp_stream import (
    ConfigError,
    MongoGcpStreamError,
    Runner,
)

if TYPE_CHECKING:
    from pathlib import Path


def test_every_public_name_is_there() -> None:
    for name in mongo_gcp_stream.__all__:
        assert getattr(mongo_gcp_stream, name) is not None


def test_the_version_is_that_of_the_distribution() -> None:
    assert mongo_gcp_stream.__version__ == importlib.metadata.version("mongo_gcp_stream")


def test_it_is_typed() -> None:
    package = files("mongo_gcp_stream")
    assert package.joinpath("py.typed").is_file()
    assert package.joinpath("_core", "__init__.pyi").is_file()


def test_a_config_error_is_ours_and_built_in() -> None:
    assert issubclass(ConfigError, MongoGcpStreamError)
    assert issubclass(ConfigError, ValueError)


def test_errors_survive_pickling() -> None:
    error = ConfigError("a.b: wrong", path="a.b", hint="Correct it.")
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (str(copy), copy.path, copy.hint) == ("a.b: wrong", "a.b", "Correct it.")


def test_a_wrong_configuration_names_the_key(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("mongodb: {connections: {main: {urii: x, sources: {}}}}\n")
    with pytest.raises(ConfigError) as caught:
        Runner(str(config))
    assert caught.value.path.startswith("mongodb.connections.main")
    assert caught.value.hint
