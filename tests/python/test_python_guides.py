"""What the guides show of configuration and logging from Python runs, and gives what they say."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.pages import blocks

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).resolve().parents[2]
CONFIGURATION = (ROOT / "docs" / "guide" / "configuration.md").read_text()
LOGGING = (ROOT / "docs" / "guide" / "logging.md").read_text()


def run(program: str) -> str:
    """What a program prints to standard error."""
    command = [sys.executable, "-W", "error", "-c", program]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stderr


def test_what_is_said_of_load_config_is_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MONGODB_URI", "mongodb://127.0.0.1:9/")
    monkeypatch.setenv("GCP_PROJECT_ID", "some-project")
    (tmp_path / "config.yaml").write_text(blocks(CONFIGURATION, "yaml")[0])
    (program,) = blocks(CONFIGURATION, "python")
    assert program.count("assert") == 6
    exec(program, {})  # noqa: S102 - what the guide shows


def test_what_is_said_of_log_lines_is_so() -> None:
    (program,) = blocks(LOGGING, "python")
    (json_line,) = blocks(LOGGING, "json")
    (text_line,) = blocks(LOGGING, "text")
    shown, told = json.loads(json_line), json.loads(run(program))
    assert list(told) == list(shown)
    assert told | {"timestamp": shown["timestamp"]} == shown
    line = run(program.replace('"json"', '"text"'))
    assert line.partition(" ")[2] == text_line.partition(" ")[2]
    assert len(line.partition(" ")[0]) == len(text_line.partition(" ")[0])


def test_the_loggers_that_are_named_are_modules_of_the_core() -> None:
    names = re.findall(r"`mongo_gcp_stream\.([a-z_.]+)`", LOGGING)
    modules = [name for name in names if name != "crates"]
    assert len(modules) == 3
    for name in modules:
        assert (ROOT / "src" / f"{name.replace('.', '/')}.rs").is_file()


def test_the_extras_of_requirements_txt_are_those_of_the_package() -> None:
    """R6."""
    (line,) = [
        line
        for line in (ROOT / "requirements.txt").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    extras = re.fullmatch(r"\.\[([a-z,]+)\]", line)
    assert extras is not None
    text = (ROOT / "pyproject.toml").read_text()
    section = text.partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    assert extras[1].split(",") == re.findall(r"^([a-z]+) = \[", section, re.MULTILINE)
