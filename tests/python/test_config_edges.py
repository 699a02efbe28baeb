"""Configurations at their edges: secrets of every kind, odd keys, the original's variables."""

from __future__ import annotations

import copy
import logging
import pickle
from typing import TYPE_CHECKING, Any

import pytest
from mongo_gcp_stream import Config, ConfigError, ConfigManager, load_config

from tests.support.canaries import Canaries

if TYPE_CHECKING:
    from pathlib import Path

PASSWORD = "canary/p@ss word"  # noqa: S105 - of nobody
KEY = "canary-of-the-protection-key"
TOKEN = "82CA4A27CA4A27CA4A27"  # noqa: S105
TRANSFORM = "canary-of-a-transform"
ENCODED = "canary%2Fp%40ss%20word"

FILE = f"""\
mongodb:
  connections:
    main:
      uri: ${{MONGODB_URI}}
      database: shop
      sources:
        orders: {{collection: orders, startup: {{token: {TOKEN}}}}}
        users: {{collection: users, database: people}}
checkpoint: {{store: mongodb, uri: "mongodb://state:{ENCODED}@h/"}}
protection: {{key: {KEY}}}
transforms: {{transforms: [{{name: mine, config: {{password: {TRANSFORM}}}}}]}}
pubsub: {{topics: {{default: {{name: shop-changes}}}}}}
"""

SOURCES = "mongodb.connections.main.sources"


@pytest.fixture
def canaries() -> Canaries:
    return Canaries(password=PASSWORD, key=KEY, token=TOKEN, transform=TRANSFORM)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A configuration with a secret wherever there may be one."""
    (tmp_path / ".env").write_text(f"MONGODB_URI='mongodb://app:{ENCODED}@h/?authSource=admin'\n")
    path = tmp_path / "config.yaml"
    path.write_text(FILE)
    return path


def test_secrets_are_there_and_in_no_form_shown(
    file: Path, canaries: Canaries, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        config = load_config(file)
    assert config.get("mongodb.connections.main.uri").startswith(f"mongodb://app:{ENCODED}@")
    assert config.get("protection.key") == KEY
    assert config.get(f"{SOURCES}.orders.startup.token") == TOKEN
    sections = [config, *(config[key] for key in config), config.get(SOURCES)]
    shown = [f"{part!r} {part} {part:}" for part in [*sections, ConfigManager(file)]]
    shown += [f"{copy.copy(part)!r} {copy.deepcopy(part)}" for part in sections]
    shown += [repr(pickle.loads(pickle.dumps(part))) for part in sections]  # noqa: S301
    assert canaries.sung("\n".join([*shown, caplog.text]).encode()) == []
    assert "transforms" in caplog.text, "a key without effect is told"


@pytest.mark.parametrize(
    "change",
    [
        ("collection: orders", "collection: [orders]"),
        ("key: canary", "kee: canary"),
        ("uri: ${MONGODB_URI}", f"uri: 'http://{ENCODED}'"),
        ("uri: ${MONGODB_URI}", f"uri: [{ENCODED}]"),
        (f"key: {KEY}", f'key: "{KEY}'),
        ("transforms:", f"{KEY}:"),
    ],
)
def test_no_error_shows_a_secret(file: Path, canaries: Canaries, change: tuple[str, str]) -> None:
    canaries.add("encoded", ENCODED)
    file.write_text(FILE.replace(*change))
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    told: list[object] = [caught.value, caught.value.hint]
    told += [caught.value.__cause__, caught.value.__context__]
    if change[0] != "transforms:":  # a key that is none is named
        assert canaries.sung(" ".join(f"{part!r} {part}" for part in told).encode()) == []


def test_sources_inherit_the_database_where_they_name_none(file: Path) -> None:
    config = load_config(file)
    assert config.get(f"{SOURCES}.orders.database") == "shop"
    assert config.get(f"{SOURCES}.users.database") == "people"


def test_values_are_as_written_and_defaults_as_the_schema_writes_them(file: Path) -> None:
    file.write_text(FILE + "flow: {bytes_in_flight: 1MB}\nmonitoring: {connection_timeout: 250}\n")
    config = load_config(file)
    assert config.get("flow.bytes_in_flight") == "1MB"
    assert config.get("monitoring.connection_timeout") == 250
    assert config.get("monitoring.report_interval") == "10s"
    assert config.get("pubsub.batch.max_messages") == 1000


@pytest.mark.parametrize(
    "key", ["", ".", "..", '""', "mongodb..connections", "mongodb.", ".mongodb"]
)
def test_what_is_no_key_has_no_value(file: Path, key: str) -> None:
    assert load_config(file).get(key, "nothing") == "nothing"


def test_one_required_key_may_be_a_text(file: Path) -> None:
    assert load_config(file, "protection.key")
    with pytest.raises(ConfigError) as caught:
        load_config(file, "gcp.project_id")
    assert caught.value.path == "gcp.project_id"


@pytest.mark.parametrize(
    ("key", "text", "values"),
    [
        ("shutdown.drain_timeout", "5s", ("30s", "5s")),
        ("pubsub.lanes", "7", (64, 7)),
        ("error_handling.backoff_factor", "1.5", (2.0, 1.5)),
        (f"{SOURCES}.orders.show_expanded_events", "True", (False, True)),
        (f"{SOURCES}.orders.collection", "7", ("orders", "7")),
        (f"{SOURCES}.orders.pipeline", "7", ([], [])),
    ],
)
def test_a_variable_has_the_type_of_its_key(
    file: Path, monkeypatch: pytest.MonkeyPatch, key: str, text: str, values: tuple[object, object]
) -> None:
    manager = ConfigManager(file)
    in_file, in_variable = values
    assert manager.get(key) == in_file
    monkeypatch.setenv(key.upper().replace(".", "_"), text)
    got = manager.get(key)
    assert (got, type(got)) == (in_variable, type(in_variable))


def test_a_section_is_no_matter_of_a_variable(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGGING", "1")
    manager = ConfigManager(file)
    assert dict(manager.get("logging")) == {"level": "info", "format": "text"}


def test_a_variable_that_does_not_fit_is_named_and_not_shown(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUBSUB_LANES", "canary")
    with pytest.raises(ConfigError, match="PUBSUB_LANES") as caught:
        ConfigManager(file).get("pubsub.lanes")
    assert caught.value.path == "pubsub.lanes"
    assert "canary" not in f"{caught.value} {caught.value.__context__}"


def test_what_takes_a_configuration_takes_a_manager(file: Path) -> None:
    manager = ConfigManager(file)
    assert Config.of(manager) == load_config(file)
    assert pickle.loads(pickle.dumps(manager)).get("protection.key") == KEY  # noqa: S301


def test_a_mapping_may_hold_what_has_a_place_in_json(tmp_path: Path) -> None:
    tree: dict[str, Any] = {
        "mongodb": {
            "connections": {
                "main": {
                    "uri": "mongodb://h/",
                    "sources": {"orders": {"database": "d", "collection": "c", "pipeline": ()}},
                }
            }
        },
        "checkpoint": {"store": "file", "path": tmp_path},
    }
    assert Config.of(tree).get("checkpoint.path") == str(tmp_path)
    tree["itself"] = tree
    with pytest.raises(ConfigError, match="mapping"):
        Config.of(tree)
    with pytest.raises(ConfigError, match="mapping"):
        Config.of({"flow": {"events_in_flight": float("nan")}})
