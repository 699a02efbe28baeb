"""Checkpoint stores for a `Line`, and what is stored there."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

from tests.support.line import STREAM
from tests.support.runner import PROGRAM

if TYPE_CHECKING:
    from tests.support.line import Line

BUCKET = "checkpoints"
PREFIX = "test/"


def settings(line: Line, store: str) -> dict[str, Any]:
    """Return the section `checkpoint` for a store of the test's own."""
    if store == "mongodb":
        return {"store": store, "database": f"{line.database}_positions", "interval": "20ms"}
    if store == "gcs":
        return {"store": store, "bucket": BUCKET, "prefix": PREFIX}
    return {"interval": "20ms"}


def position(line: Line, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `mongo-gcp-stream position` to its end."""
    return subprocess.run(
        [PROGRAM, "position", command, "--config", str(line.config), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def shown(line: Line, *arguments: str) -> dict[str, Any]:
    """Return what `position show` says of the stream."""
    done = position(line, "show", "--stream", STREAM, "--json", *arguments)
    assert done.returncode == 0, done.stderr
    (stored,) = json.loads(done.stdout)
    assert isinstance(stored, dict)
    return stored


def set_to(line: Line, start: str) -> None:
    """Set the stream's position."""
    done = position(line, "set", "--stream", STREAM, "--to", start)
    assert done.returncode == 0, done.stderr
