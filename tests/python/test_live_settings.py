"""Which MongoDB the live tests take, and which they refuse; and that they work on a real one."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.live import (
    KEY,
    ROOT,
    VARIABLE,
    NotConfiguredError,
    ProductionError,
    hosts,
    live_uri,
    variables,
)

if TYPE_CHECKING:
    from pathlib import Path

    from mongo_gcp_stream.testing import Mongod


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A `.env.test` and a `.env`."""
    return tmp_path / ".env.test", tmp_path / ".env"


def run_live(file: Path) -> subprocess.CompletedProcess[str]:
    """Run `pytest -m live` with this `.env.test`."""
    command = [sys.executable, "-m", "pytest", "-m", "live", "-p", "no:cacheprovider", "tests/live"]
    env = {**os.environ, VARIABLE: str(file)}
    return subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=100, check=False
    )


def test_variables_are_read_as_the_core_reads_them() -> None:
    text = "# no\nA=1\nexport B='p$w #1'\nC=\"two words\" # said\nD=\nE=x#y # z\nno line\n"
    assert variables(text) == {"A": "1", "B": "p$w #1", "C": "two words", "D": "", "E": "x#y"}


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("mongodb://localhost", {"localhost:27017"}),
        ("mongodb://127.0.0.1:27017/db?replicaSet=rs0", {"localhost:27017"}),
        ("mongodb://[::1]", {"localhost:27017"}),
        ("mongodb://u:p@A.example:1,b.example/db?w=1", {"a.example:1", "b.example:27017"}),
        ("mongodb://u:p@ss/w?rd@h:1/?tls=true", {"h:1"}),
        ("mongodb+srv://u:p@Cluster.example.net/?w=1", {"cluster.example.net"}),
        ("some-project", set()),
    ],
)
def test_hosts_say_which_deployment_it_is(uri: str, expected: set[str]) -> None:
    assert hosts(uri) == expected


def test_without_a_file_there_is_nothing_to_test(files: tuple[Path, Path]) -> None:
    test, production = files
    with pytest.raises(NotConfiguredError, match=r"env\.test\.example"):
        live_uri(test, production)
    test.write_text("OTHER=1\n")
    with pytest.raises(NotConfiguredError, match=KEY):
        live_uri(test, production)


def test_a_deployment_of_its_own_is_taken(files: tuple[Path, Path]) -> None:
    test, production = files
    test.write_text(f"{KEY}='mongodb://h:2/?replicaSet=rs0'\n")
    assert live_uri(test, production) == "mongodb://h:2/?replicaSet=rs0"
    production.write_text(f"{KEY}=mongodb://h:1\nGCP_PROJECT_ID=h:2\n")
    assert live_uri(test, production) == "mongodb://h:2/?replicaSet=rs0"


@pytest.mark.parametrize(
    "line",
    [
        f"{KEY}=mongodb://h:2",
        f"{KEY}=mongodb://app:canary@other,H:2/prod?tls=true",
        "MONGODB_ANALYTICS_URI='mongodb://h:2/'",
    ],
)
def test_the_deployment_of_production_is_refused(files: tuple[Path, Path], line: str) -> None:
    test, production = files
    test.write_text(f"{KEY}='mongodb://tests:canary@h:2/?replicaSet=rs0'\n")
    production.write_text(f"{line}\n")
    with pytest.raises(ProductionError, match="h:2") as caught:
        live_uri(test, production)
    assert "canary" not in str(caught.value)


def test_the_example_is_one(files: tuple[Path, Path]) -> None:
    example = ROOT / "tests" / ".env.test.example"
    assert hosts(live_uri(example, files[1]))
    assert hosts(live_uri(example, ROOT / ".env.example"))


def test_live_tests_are_skipped_with_the_reason(tmp_path: Path) -> None:
    ended = run_live(tmp_path / "missing")
    assert ended.returncode == 0, ended.stdout
    assert "2 skipped" in ended.stdout
    assert "tests/.env.test.example" in " ".join(ended.stdout.split())


def test_live_tests_pass_on_a_real_deployment(mongod: Mongod, tmp_path: Path) -> None:
    """R24."""
    file = tmp_path / ".env.test"
    file.write_text(f"{KEY}='{mongod.uri}'\n")
    ended = run_live(file)
    assert ended.returncode == 0, ended.stdout
    assert "2 passed" in ended.stdout
    with mongod.client() as client:
        assert not [name for name in client.list_database_names() if "_live_" in name]
