"""The wheel, installed as a user installs it: without Rust, without this folder."""

from __future__ import annotations

import os
import signal
import subprocess
import venv
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.pages import blocks
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from mongo_gcp_stream.testing import Mongod

ROOT = Path(__file__).parents[2]


#: What a newcomer's program reads: the sections of `run` are not needed.
@pytest.fixture(scope="module")
def binaries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that holds the wheel and what it needs."""
    (wheel,) = (ROOT / "dist").glob("*.whl")
    assert "manylinux" in wheel.name
    environment = tmp_path_factory.mktemp("wheel") / "venv"
    venv.create(environment, with_pip=True)
    pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, f"{wheel}[demo]"], check=True, cwd=environment)
    return environment / "bin"


def _environment(binaries: Path) -> dict[str, str]:
    """A path without cargo and rustc, and no deployment but that of the test."""
    environment = {**os.environ, "PATH": f"{binaries}:/usr/bin:/bin"}
    environment.pop("MONGODB_URI", None)
    return environment


@pytest.mark.heavy
@pytest.mark.timeout(600)
def test_the_wheel_runs_the_demo_in_an_empty_environment(binaries: Path, tmp_path: Path) -> None:
    subprocess.run(
        [binaries / "mongo-gcp-stream", "demo", "--events", "1000"],
        check=True,
        cwd=tmp_path,
        env=_environment(binaries),
        timeout=120,
    )


@pytest.mark.heavy
@pytest.mark.timeout(600)
def test_the_program_of_the_readme_and_a_cheat_sheet_run_from_the_wheel(
    binaries: Path, tmp_path: Path, own_mongod: Mongod
) -> None:
    """A newcomer's way: install, the program of the README, a cheat sheet."""
    readme = (ROOT / "README.md").read_text()
    section = readme.partition("\n## Use it from Python\n")[2].partition("\n## ")[0]
    (program,) = blocks(section, "python")
    (config,) = blocks(readme, "yaml")
    (tmp_path / "program.py").write_text(program)
    (tmp_path / "config.yaml").write_text(config)
    (tmp_path / ".env").write_text(f"MONGODB_URI={own_mongod.uri}\nGCP_PROJECT_ID=any\n")
    command = [str(binaries / "python"), "-u", "program.py"]
    with (
        own_mongod.client() as client,
        subprocess.Popen(
            command,
            cwd=tmp_path,
            env=_environment(binaries),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as running,
    ):
        state = tmp_path / "state"
        eventually(lambda: state.is_dir() and list(state.glob("*.json")), "the stream is open")
        client.shop.orders.insert_one({"_id": 1, "n": 7})
        assert running.stdout
        assert running.stdout.readline() == "insert {'_id': 1} {'_id': 1, 'n': 7}\n"
        running.send_signal(signal.SIGINT)
        running.stdout.read()
        assert running.wait() != 0, "asyncio.run raises KeyboardInterrupt"
    subprocess.run(
        [binaries / "python", ROOT / "cheat_sheets" / "connection_manager_explained.py"],
        check=True,
        cwd=tmp_path,
        env=_environment(binaries),
        timeout=120,
    )
