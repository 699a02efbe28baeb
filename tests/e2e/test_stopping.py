"""How a run ends, and which exit code tells it."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest
from mongo_gcp_stream.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from tests.support.line import Line
    from tests.support.orders import Orders


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_drains(line: Line, number: signal.Signals) -> None:
    line.prepare()
    orders = line.orders()
    orders.write(3000)
    with line.run() as process:
        line.pubsub.wait(messages=100)
        process.signal(number)
        assert process.wait() == ExitCode.CLEAN, process.stderr
    drained = line.delivered()
    assert line.catch_up().wait() == 0
    # What was read was published and its position stored: the rest comes, and nothing again.
    assert line.delivered() == orders.written >= drained
    line.assert_delivered(orders)


def test_a_second_signal_exits_at_once(line: Line) -> None:
    orders = _refused(line)
    with line.run() as process:
        line.pubsub.wait(faults=1)
        process.signal(signal.SIGTERM)
        process.wait_for_line("drain")
        process.signal(signal.SIGTERM)
        assert process.wait() == ExitCode.KILLED
    line.pubsub.clear_faults()
    assert line.catch_up().wait() == 0
    line.assert_delivered(orders)


def test_a_drain_that_misses_its_deadline(line: Line) -> None:
    orders = _refused(line)
    line.configure(shutdown={"drain_timeout": "500ms"})
    with line.run() as process:
        line.pubsub.wait(faults=1)
        process.signal(signal.SIGTERM)
        assert process.wait() == ExitCode.DRAIN_MISSED, process.stderr
    line.pubsub.clear_faults()
    assert line.catch_up().wait() == 0
    line.assert_delivered(orders)


def test_the_timeout_of_a_run_until_caught_up(line: Line) -> None:
    line.prepare()
    line.orders().write(10)
    line.pubsub.fault("delay", delay_ms=3000, times=-1)
    process = line.catch_up("--timeout", "1s")
    assert process.wait() == ExitCode.TIMED_OUT, process.stderr


def test_logs_as_json(line: Line) -> None:
    line.configure(logging={"format": "json", "level": "debug"})
    line.prepare()
    line.orders().write(10)
    with line.run() as process:
        line.pubsub.wait(messages=10)
        process.signal(signal.SIGTERM)
        assert process.wait() == 0
    lines = [json.loads(text) for text in process.stderr.splitlines()]
    assert lines
    assert all({"level", "timestamp"} <= entry.keys() for entry in lines)
    assert not process.stdout


def _refused(line: Line) -> Orders:
    """Write what Pub/Sub refuses until the faults are cleared."""
    line.prepare()
    orders = line.orders()
    orders.write(10)
    line.pubsub.fault("status", times=-1)
    return orders
