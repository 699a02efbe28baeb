"""A pipeline that is killed, and one that goes on after it."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.line import STREAM
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.line import Line

PROGRAM = Path(__file__).with_name("pipeline_program.py")


@contextmanager
def pipeline(line: Line, **read: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process with a pipeline, killed at the end together with its Prism."""
    given = {
        "read": {
            "uri": line.mongod.uri,
            "database": line.database,
            "collection": "orders",
            "checkpoint": {"store": "file", "path": str(line.folder / "state"), "interval": "20ms"},
            **read,
        },
        "schemas": {STREAM: {"revision": {"type": "number", "required": True}}},
        "topic": line.topic,
    }
    process = subprocess.Popen(
        [sys.executable, str(PROGRAM), json.dumps(given)],
        env={**os.environ, **line.env},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        # It may have ended by itself, its Prism with it.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.timeout(300)
def test_killed_at_random_moments_nothing_is_lost(line: Line) -> None:
    """The moments are counts of delivered messages, drawn with a fixed seed."""
    moments = random.Random(7)
    with pipeline(line, resume="RESUME_OR_NEW"):
        eventually(line.checkpoint.exists, "the opening position stored")
    orders = line.orders()
    for _ in range(3):
        orders.write(300)
        goal = line.delivered() + moments.randint(1, 300)
        with pipeline(line, resume="RESUME_OR_FAIL"):
            line.pubsub.wait(messages=goal, timeout_ms=60_000)
    with pipeline(line, resume="RESUME_OR_FAIL"):
        line.pubsub.wait(distinct_event_ids=orders.written, timeout_ms=60_000)
    line.assert_delivered(orders)


def test_what_is_there_and_must_not_be(line: Line) -> None:
    with pipeline(line, resume="RESUME_OR_FAIL") as process:
        assert process.wait(timeout=60) != 0
    assert not line.checkpoint.exists()
    with pipeline(line, resume="FAIL_IF_EXISTS"):
        eventually(line.checkpoint.exists, "the opening position stored")
    with pipeline(line, resume="FAIL_IF_EXISTS") as process:
        assert process.wait(timeout=60) != 0
