"""The wheel, installed as a user installs it: without Rust, without this folder."""

from __future__ import annotations

import os
import subprocess
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.heavy
@pytest.mark.timeout(600)
def test_the_wheel_runs_the_demo_in_an_empty_environment(tmp_path: Path) -> None:
    (wheel,) = (ROOT / "dist").glob("*.whl")
    assert "manylinux" in wheel.name
    environment = tmp_path / "venv"
    venv.create(environment, with_pip=True)
    binaries = environment / "bin"
    pip = [str(binaries / "python"), "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, f"{wheel}[demo]"], check=True, cwd=tmp_path)
    # A path without cargo and rustc.
    env = {**os.environ, "PATH": f"{binaries}:/usr/bin:/bin"}
    subprocess.run(
        [binaries / "mongo-gcp-stream", "demo", "--events", "1000"],
        check=True,
        cwd=tmp_path,
        env=env,
        timeout=120,
    )
