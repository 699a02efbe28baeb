"""What can be waited out is, without loss and in order."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest
from mongo_gcp_stream import Runner

from tests.support.line import STREAM
from tests.support.mongod import RESUMABLE, failing
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from tests.support.line import Line


def test_mongod_goes_away_and_comes_back(own_line: Line) -> None:
    own_line.prepare()
    orders = own_line.orders()
    orders.write(500)
    with own_line.run() as process:
        own_line.pubsub.wait(messages=100)
        own_line.mongod.stop()
        own_line.mongod.start()
        orders.write(500)
        own_line.wait_until_delivered(orders)
        process.signal(signal.SIGTERM)
        assert process.wait() == 0, process.stderr
    own_line.assert_delivered(orders)


def test_mongod_crashes_and_comes_back(own_line: Line) -> None:
    own_line.prepare()
    orders = own_line.orders()
    with own_line.run() as process:
        orders.write(200)
        own_line.wait_until_delivered(orders)
        own_line.mongod.kill()
        own_line.mongod.start()
        orders.write(200)
        own_line.wait_until_delivered(orders)
        process.signal(signal.SIGTERM)
        assert process.wait() == 0, process.stderr
    own_line.assert_delivered(orders)


def test_pubsub_away_for_many_attempts(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """About ten seconds, told by the attempts that failed: one lane makes one at a time."""
    line.configure(error_handling={"max_backoff": "2s"}, pubsub={"lanes": 1})
    line.prepare()
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", line.pubsub.grpc_address)
    orders = line.orders()
    runner = Runner(str(line.config))
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(runner.run().exit_code))
    thread.start()
    try:
        orders.write(200)
        line.wait_until_delivered(orders)
        line.pubsub.down()
        orders.write(500)
        before = runner.statistics()[STREAM].retries
        eventually(lambda: runner.statistics()[STREAM].retries >= before + 13, "the retries")
        line.pubsub.up()
        line.wait_until_delivered(orders)
    finally:
        runner.stop()
        thread.join()
    assert codes == [0]
    line.assert_delivered(orders)


def test_a_lost_response_makes_a_duplicate(line: Line) -> None:
    """The request was committed, its answer never came: the same event_id comes again."""
    line.prepare()
    orders = line.orders()
    orders.write(100)
    line.pubsub.fault("lose_response", times=3)
    assert line.catch_up().wait() == 0
    stats = line.pubsub.stats()
    assert stats["duplicates"] > 0
    assert stats["distinct_event_ids"] == orders.written
    line.assert_delivered(orders)


@pytest.mark.parametrize(
    "code", ["UNAVAILABLE", "DEADLINE_EXCEEDED", "INTERNAL", "UNKNOWN", "ABORTED", "CANCELLED"]
)
def test_a_refusal_that_passes(line: Line, code: str) -> None:
    line.prepare()
    orders = line.orders()
    orders.write(100)
    line.pubsub.fault("status", code=code, times=5)
    assert line.catch_up().wait() == 0
    assert line.delivered() == orders.written
    line.assert_delivered(orders)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"closeConnection": True}, id="connection closed"),
        pytest.param({"blockConnection": True, "blockTimeMS": 700}, id="blocked"),
        pytest.param({"errorCode": 91, "errorLabels": [RESUMABLE]}, id="shutting down"),
        pytest.param({"errorCode": 189, "errorLabels": [RESUMABLE]}, id="stepped down"),
        pytest.param({"errorCode": 43}, id="cursor not found"),
    ],
)
def test_a_fault_of_the_server_that_passes(line: Line, fault: dict[str, Any]) -> None:
    line.prepare()
    orders = line.orders()
    orders.write(300)
    # Small replies, so that the events need several of them.
    line.configure(source={"batch_size": 50})
    with failing(line.mongod, ["getMore"], times=3, **fault) as struck:
        process = line.catch_up()
        assert process.wait() == 0, process.stderr
        struck.wait_until_hit(3)
    line.assert_delivered(orders)


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        pytest.param(286, "oplog", id="history lost"),
        pytest.param(280, "pipeline", id="fatal"),
        pytest.param(10334, "project", id="event over 16 MiB"),
    ],
)
def test_a_fault_that_does_not_pass_stops_the_stream(line: Line, code: int, hint: str) -> None:
    line.prepare()
    orders = line.orders()
    orders.write(50)
    line.configure(source={"batch_size": 10})
    with failing(line.mongod, ["getMore"], errorCode=code):
        process = line.catch_up()
    assert process.wait() == 1
    assert f"error: {STREAM}: " in process.stderr
    assert str(code) in process.stderr
    assert hint in process.stderr.partition("hint: ")[2]
    # The position is before it: once the fault has gone, nothing is missing.
    assert line.catch_up().wait() == 0
    line.assert_delivered(orders)
