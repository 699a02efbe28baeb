"""The command line: what it teaches, and how it says no."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import click
import pytest
from mongo_gcp_stream import __version__
from mongo_gcp_stream.cli.duration import Duration
from mongo_gcp_stream.cli.exit_codes import ExitCode

from tests.support.runner import PROGRAM

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.line import Line


def program(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAM, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_version() -> None:
    assert program("--version").stdout.strip().endswith(__version__)


@pytest.mark.parametrize("command", [(), ("run",)])
def test_help_lists_the_exit_codes(command: tuple[str, ...]) -> None:
    shown = program(*command, "--help")
    assert shown.returncode == 0
    listed = [
        int(line.split()[0])
        for line in shown.stdout.partition("Exit codes:")[2].splitlines()
        if line.strip()
    ]
    assert listed == [code.value for code in ExitCode]


def test_help_of_run_shows_a_configuration() -> None:
    shown = program("run", "--help").stdout
    assert "uri: ${MONGODB_URI}" in shown
    assert "checkpoint: {store: file" in shown


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("run",), "--config"),
        (("run", "--config", "x", "--timeout", "3s"), "--until-caught-up"),
        (("run", "--config", "x", "--until-caught-up", "--timeout", "soon"), "soon"),
        (("demo", "--events", "0"), "0"),
        (("demo", "--rate", "0"), "0"),
        (("walk",), "walk"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], says: str) -> None:
    refused = program(*arguments)
    assert refused.returncode == ExitCode.USAGE
    error, hint = refused.stderr.splitlines()
    assert error.startswith("error: ")
    assert says in error
    assert hint.startswith("hint: See `mongo-gcp-stream")
    assert not refused.stdout


def test_a_configuration_that_is_not_there() -> None:
    refused = program("run", "--config", "/nonexistent/config.yaml")
    assert refused.returncode == ExitCode.USAGE
    assert "error: /nonexistent/config.yaml" in refused.stderr
    assert "hint: " in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("text", "millis"),
    [("250ms", 250), ("30s", 30_000), ("5m", 300_000), ("1h", 3_600_000), ("2", 2000)],
)
def test_durations(text: str, millis: int) -> None:
    assert Duration().convert(text, None, None) == millis


@pytest.mark.parametrize("text", ["", "s", "-1s", "1 day", "1s1s", "inf"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Duration().convert(text, None, None)


def test_an_error_is_a_line_of_json_once_the_format_is_known(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        "mongodb: {connections: {main: {uri: 'mongodb://host:port/', database: shop, sources: "
        "{orders: {}}}}}\n"
        "gcp: {project_id: some-project, pubsub: {}}\n"
        "pubsub: {topics: {default: {name: shop-changes}}}\n"
        "checkpoint: {store: memory}\n"
        "logging: {format: json}\n"
    )
    refused = program("run", "--config", str(config))
    assert refused.returncode == ExitCode.USAGE
    (line,) = map(json.loads, refused.stderr.splitlines())
    assert line["level"] == "ERROR"
    assert "mongodb.connections.main.uri" in line["message"]
    assert line["hint"]


def test_a_warning_is_a_line_of_json(line: Line) -> None:
    line.configure(logging={"format": "json"}, gcp={"pubsub": {}})
    process = line.catch_up()
    assert process.wait() == 0
    first, *_ = map(json.loads, process.stderr.splitlines())
    assert (first["level"], first["target"]) == ("WARN", "mongo_gcp_stream::cli")
