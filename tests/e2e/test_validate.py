"""`validate`: every value with where it came from, without a network and without a secret."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from mongo_gcp_stream.cli.exit_codes import ExitCode

from tests.support.runner import Process

if TYPE_CHECKING:
    from pathlib import Path

PASSWORD = "s3cretPassword"  # noqa: S105 - of nobody
TOKEN = "c0ffee00"  # noqa: S105 - of nobody

CONFIG = f"""\
mongodb:
  connections:
    main:
      uri: ${{MONGODB_URI}}
      sources:
        orders: {{database: shop, collection: orders, startup: {{token: '{TOKEN}'}}}}
gcp: {{project_id: '${{PROJECT:-demo}}'}}
pubsub:
  topics:
    default: {{name: shop-changes}}
checkpoint: {{store: file, path: ./state}}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration whose password stands in `.env`."""
    uri = f"mongodb://app:{PASSWORD}@127.0.0.1:9/?replicaSet=rs0"
    (tmp_path / ".env").write_text(f"MONGODB_URI='{uri}'\n")
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    return path


def validate(config: Path, *arguments: str, **env: str) -> Process:
    with Process("validate", "--config", str(config), *arguments, env=env) as process:
        process.wait()
        return process


def test_values_come_with_their_origin(config: Path) -> None:
    process = validate(config, "--json", MONGO_GCP_STREAM__PUBSUB__LANES="16")
    assert process.wait() == ExitCode.CLEAN, process.stderr
    shown = json.loads(process.stdout)
    assert shown["streams"] == ["main.orders"]
    values: dict[str, dict[str, Any]] = {value.pop("path"): value for value in shown["values"]}
    assert values["mongodb.connections.main.uri"] == {
        "value": "mongodb://app:***@127.0.0.1:9/?replicaSet=rs0",
        "source": "file",
        "line": 4,
        "variables": {"MONGODB_URI": ".env"},
    }
    assert values["gcp.project_id"]["variables"] == {"PROJECT": "default"}
    assert values["pubsub.lanes"] == {
        "value": 16,
        "source": "override",
        "line": None,
        "variables": {"MONGO_GCP_STREAM__PUBSUB__LANES": "environment"},
    }
    assert values["pubsub.slots"]["source"] == "default"


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_no_secret_is_printed(config: Path, arguments: tuple[str, ...]) -> None:
    process = validate(config, *arguments)
    assert process.wait() == ExitCode.CLEAN, process.stderr
    assert "***" in process.stdout
    for secret in (PASSWORD, TOKEN):
        assert secret not in process.stdout + process.stderr


def test_the_text_is_a_table(config: Path) -> None:
    lines = validate(config, MONGODB_URI="mongodb://elsewhere").stdout.splitlines()
    rows = {line.split()[0]: line for line in lines if line}
    uri = rows["mongodb.connections.main.uri"]
    assert uri.endswith("mongodb://elsewhere  line 4, MONGODB_URI from the environment")
    assert rows["pubsub.lanes"].endswith("64  default")
    assert rows["gcp.region"].endswith("(none)  default")
    assert lines[-1].endswith("streams: main.orders")


@pytest.mark.parametrize(
    ("line", "wrong", "path"),
    [
        ("store: file", "store: files", "checkpoint.store"),
        ("'${PROJECT:-demo}'", "'${PROJECT}'", "gcp.project_id"),
        (
            "startup:",
            "envelope: bigquery_cdc, startup:",
            "pubsub.topics.default.bigquery",
        ),
        (f"token: '{TOKEN}'", "timestamp: '2200-01-01T00:00:00Z'", "orders.startup.timestamp"),
    ],
)
def test_a_mistake_is_told_as_a_run_tells_it(
    config: Path, line: str, wrong: str, path: str
) -> None:
    config.write_text(CONFIG.replace(line, wrong))
    process = validate(config)
    assert process.wait() == ExitCode.USAGE
    with Process("run", "--config", str(config), env={}) as run:
        run.wait()
    assert process.stderr == run.stderr
    assert path in process.stderr
    assert PASSWORD not in process.stderr
