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
    assert process.wait() == ExitCode.NOT_CAUGHT_UP, process.stderr


def test_a_signal_before_the_run_has_caught_up(line: Line) -> None:
    line.prepare()
    orders = line.orders()
    orders.write(50)
    # One event after the other, half a second each: it ends long before the last is read.
    line.configure(source={"batch_size": 1}, flow={"events_in_flight": 1})
    line.pubsub.fault("delay", delay_ms=500, times=-1)
    with line.run("--until-caught-up") as process:
        line.pubsub.wait(faults=1)
        process.signal(signal.SIGTERM)
        assert process.wait() == ExitCode.NOT_CAUGHT_UP, process.stderr
    line.pubsub.clear_faults()
    assert line.catch_up().wait() == 0
    line.assert_delivered(orders)


def test_a_signal_while_a_failed_stream_waits_for_its_next_start(line: Line) -> None:
    # Nothing listens on the discard port of loopback.
    line.configure(uri="mongodb://127.0.0.1:9/", monitoring={"connection_timeout": 200})
    with line.run() as process:
        process.wait_for_line("started again")
        process.signal(signal.SIGTERM)
        assert process.wait() == ExitCode.FAILED, process.stderr
    assert "error: main.orders: " in process.stderr


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


def test_a_failed_run_says_why_in_one_line_of_json(line: Line) -> None:
    line.configure(
        uri="mongodb://127.0.0.1:9/",
        monitoring={"connection_timeout": 200},
        error_handling={"max_retries": 0},
        logging={"format": "json"},
    )
    process = line.catch_up()
    assert process.wait() == ExitCode.FAILED
    lines = [json.loads(text) for text in process.stderr.splitlines()]
    (error,) = (entry for entry in lines if entry["level"] == "ERROR")
    assert error["stream"] == "main.orders"
    assert error["hint"]


def _refused(line: Line) -> Orders:
    """Write what Pub/Sub refuses until the faults are cleared."""
    line.prepare()
    orders = line.orders()
    orders.write(10)
    line.pubsub.fault("status", times=-1)
    return orders
