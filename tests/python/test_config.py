"""Configurations as Python sees them: `load_config`, `Config` and `ConfigManager`."""

from __future__ import annotations

import copy
import json
import pickle
from typing import TYPE_CHECKING, Any

import pytest
from mongo_gcp_stream import Config, ConfigError, ConfigManager, load_config

if TYPE_CHECKING:
    from pathlib import Path

#: The examples of the original's README.
INHERITING = """\
mongodb:
  connections:
    main:
      uri: ${MONGODB_URI}
      database: mydb
      sources:
        orders:
          collection: orders
          batch_size: 100
"""
OWN_DATABASE = """\
mongodb:
  connections:
    client1:
      uri: ${MONGODB_URI}
      sources:
        orders:
          database: mydb
          collection: orders
          batch_size: 100
          pipeline: []  # optional aggregation pipeline
"""
URI = "mongodb://user:p%40ss-canary@localhost:27017/"
ORDERS = "mongodb.connections.main.sources.orders"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The first example, its variable in a `.env` beside it."""
    monkeypatch.delenv("MONGODB_URI", raising=False)
    (tmp_path / ".env").write_text(f"MONGODB_URI={URI}\n")
    path = tmp_path / "config.yaml"
    path.write_text(INHERITING)
    return path


def test_keys_are_found_by_dotted_names(file: Path) -> None:
    """R9."""
    config = load_config(file)
    assert config.get("mongodb.connections.main.uri") == URI
    assert config.get(f"{ORDERS}.batch_size", default=50) == 100
    assert config.get(f"{ORDERS}.database") == "mydb", "inherited from the connection"
    assert config["mongodb"]["connections"]["main"]["sources"]["orders"]["collection"] == "orders"


def test_both_examples_of_the_original_are_read(file: Path) -> None:
    """R10."""
    file.write_text(OWN_DATABASE)
    source = load_config(file)["mongodb"]["connections"]["client1"]["sources"]["orders"]
    assert (source["database"], source["pipeline"]) == ("mydb", [])


def test_the_callers_default_is_for_what_nobody_says(file: Path) -> None:
    config = load_config(file)
    assert config.get("error_handling.backoff_factor", default=7) == 2.0, "the schema's own"
    assert config.get("error_handling.max_retries", default=7) == 7, "it has none"
    assert config.get("gcp.project_id", default="mine") == "mine"
    assert config.get("gcp.project_id") is None
    assert config.get("mongodb.connections.main.uri.deeper", default=1) == 1
    with pytest.raises(KeyError):
        config["gcp"]


def test_names_with_dots_are_quoted(file: Path) -> None:
    rules = '\nschemas: {"main.orders": {"customer.email": {type: string}}}\n'
    file.write_text(INHERITING + rules)
    config = load_config(file)
    expected = {"type": "string", "required": False, "nullable": False}
    assert dict(config.get('schemas."main.orders"."customer.email"')) == expected
    assert config.get("schemas.main.orders") is None


def test_nothing_in_it_can_be_changed(file: Path) -> None:
    config: Any = load_config(file)
    with pytest.raises(TypeError):
        config["mongodb"] = {}
    with pytest.raises(TypeError):
        config["mongodb"]["connections"]["main"]["uri"] = "x"
    config.get(f"{ORDERS}.pipeline").append({"$match": {}})
    assert config.get(f"{ORDERS}.pipeline") == []
    config.to_dict()["mongodb"].clear()
    assert "connections" in config["mongodb"]


def test_no_form_of_it_shows_a_secret(file: Path) -> None:
    config = load_config(file)
    manager = ConfigManager(file)
    parts: list[object] = [config, manager, config["mongodb"], config["mongodb"]["connections"]]
    for part in [*parts, config["mongodb"]["connections"]["main"]]:
        for shown in (repr(part), str(part), f"{part}"):
            assert "canary" not in shown
            assert "p%40ss" not in shown
    file.write_text(INHERITING.replace("batch_size", "batch_sise"))
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    assert "canary" not in f"{caught.value!r} {caught.value} {caught.value.hint}"


def test_copies_and_pickles_mean_the_same_elsewhere(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load_config(file)
    pickled = pickle.dumps(config)
    file.unlink()
    (file.parent / ".env").unlink()
    monkeypatch.setenv("MONGO_GCP_STREAM__MONGODB__CONNECTIONS__MAIN__URI", "mongodb://other/")
    again = pickle.loads(pickled)  # noqa: S301 -- our own bytes
    assert again == config
    assert again.get("mongodb.connections.main.uri") == URI
    assert copy.deepcopy(config) == copy.copy(config) == config
    assert len({config, again}) == 1


def test_mistakes_name_their_path(file: Path) -> None:
    mistakes = [
        (INHERITING.replace("batch_size", "batch_sise"), f"{ORDERS}.batch_sise"),
        (INHERITING.replace("100", "many"), f"{ORDERS}.batch_size"),
        (INHERITING.replace("      database: mydb\n", ""), f"{ORDERS}.collection"),
        (INHERITING.replace("MONGODB_URI", "NOBODY_SET_THIS"), "mongodb.connections.main.uri"),
        ("- a list\n", str(file)),
    ]
    for text, path in mistakes:
        file.write_text(text)
        with pytest.raises(ValueError, match=r".") as caught:
            load_config(file)
        assert isinstance(caught.value, ConfigError)
        assert caught.value.path == path
        assert caught.value.hint
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(file.parent / "missing.yaml")


def test_required_keys_have_to_be_there(file: Path) -> None:
    assert load_config(file, ["mongodb.connections.main.uri", f"{ORDERS}.batch_size"])
    for kind in (load_config, ConfigManager):
        with pytest.raises(ValueError, match=r"gcp\.project_id: missing") as caught:
            kind(file, ["mongodb", "gcp.project_id"])
        assert isinstance(caught.value, ConfigError)
        assert caught.value.path == "gcp.project_id"


def test_the_dialect_of_the_later_version_is_refused_with_the_guide(file: Path) -> None:
    file.write_text("mongodb: {uri: 'mongodb://localhost/'}\ncollections: []\n")
    with pytest.raises(ConfigError, match=r"migrating\.md"):
        load_config(file)


def test_overrides_from_the_environment_go_before_the_file(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "MONGO_GCP_STREAM__MONGODB__CONNECTIONS__MAIN__SOURCES__ORDERS__BATCH_SIZE"
    monkeypatch.setenv(name, "7")
    assert load_config(file).get(f"{ORDERS}.batch_size") == 7


def test_the_original_manager_looks_into_the_environment_first(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = ConfigManager(file)
    key, name = f"{ORDERS}.batch_size", "MONGODB_CONNECTIONS_MAIN_SOURCES_ORDERS_BATCH_SIZE"
    assert manager.get(key) == 100
    monkeypatch.setenv(name, "250")
    assert manager.get(key) == 250
    monkeypatch.setenv("LOGGING_LEVEL", "debug")
    assert manager.get("logging.level") == "debug"
    monkeypatch.setenv("NO_SUCH_KEY", "1")
    assert manager.get("no.such.key") is None, "only for a key that exists"
    assert manager.get("no.such.key", 5) == 5
    monkeypatch.setenv(name, "many")
    with pytest.raises(ConfigError, match=name):
        manager.get(key)


def test_a_mapping_is_what_stands_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONGODB_URI", URI)
    tree = {
        "mongodb": {
            "connections": {
                "main": {
                    "uri": "${MONGODB_URI}",
                    "database": "mydb",
                    "sources": {"orders": {"collection": "orders"}},
                }
            }
        }
    }
    config = Config.of(tree)
    assert config.get("mongodb.connections.main.uri") == URI
    assert Config.of(config) is config
    assert json.loads(config.to_json())["mongodb"]["connections"]["main"]["uri"] == URI
    # A text that looks like a variable stays what it is when it is read again.
    tree["mongodb"]["connections"]["main"]["uri"] = "mongodb://localhost/?appName=$${X}"
    literal = Config.of(tree).get("mongodb.connections.main.uri")
    assert literal == "mongodb://localhost/?appName=${X}"
    for wrong in ({1, 2}, {"mongodb": object()}):
        with pytest.raises(ConfigError):
            Config.of(wrong)  # type: ignore[arg-type]
