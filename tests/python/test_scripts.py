"""The original's scripts: thin over the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from mongo_gcp_stream._core import Emulator

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = {
    "mongodb": {
        "connections": {
            "main": {
                "uri": "mongodb://127.0.0.1:1/",
                "sources": {"orders": {"database": "shop", "collection": "orders"}},
            }
        }
    },
    "gcp": {"project_id": "mine"},
    "pubsub": {"topics": {"default": {"name": "shop", "subscriptions": {"all": {}}}}},
    "checkpoint": {"store": "memory"},
    "monitoring": {"connection_timeout": 100},
    "error_handling": {"max_retries": 0},
}


def _script(name: str, folder: Path, *arguments: str, host: str = "127.0.0.1:1") -> tuple[int, str]:
    path = folder / "config" / "config.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(CONFIG))
    ended = subprocess.run(
        [sys.executable, "-m", f"mongo_gcp_stream.scripts.{name}", *arguments],
        cwd=folder,
        env={**os.environ, "PUBSUB_EMULATOR_HOST": host},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return ended.returncode, ended.stdout + ended.stderr


def test_setup_pubsub_makes_what_the_configuration_names(tmp_path: Path) -> None:
    """R4. Without `--config` it takes `config/config.yaml`, as the original did."""
    with Emulator() as pubsub:
        code, told = _script("setup_pubsub", tmp_path, host=pubsub.address)
        assert code == 0, told
        assert "topic shop" in told
        assert pubsub.pull("projects/mine/subscriptions/all", wait_ms=0) == []
        code, again = _script(
            "setup_pubsub", tmp_path, "--config=config/config.yaml", host=pubsub.address
        )
        assert code == 0, again
        assert again != told, "nothing was left to do"


def test_run_pipeline_runs_what_the_configuration_asks_for(tmp_path: Path) -> None:
    code, told = _script("run_pipeline", tmp_path, "--streaming", "--runner", "DirectRunner")
    assert code == 1, told
    assert "no server is available" in told


def test_run_pipeline_takes_the_runners_of_beam(tmp_path: Path) -> None:
    """The options of both go to `mongo-gcp-stream beam`."""
    arguments = ("--runner=DataflowRunner", "--project", "mine", "--nix=1")
    code, told = _script("run_pipeline", tmp_path, *arguments)
    assert code == 2
    assert "DataflowRunner does not start the pipeline" in told
    assert "temp_location" in told, "Beam's own word"


def test_run_pipeline_says_what_it_cannot_run(tmp_path: Path) -> None:
    code, told = _script("run_pipeline", tmp_path, "--runner=SparkRunner")
    assert code == 2
    assert "PrismRunner" in told


def test_run_pipeline_takes_the_project_of_the_command_line(tmp_path: Path) -> None:
    code, told = _script("run_pipeline", tmp_path, "--project", "NO SUCH PROJECT")
    assert code == 2
    assert "gcp.project_id" in told
