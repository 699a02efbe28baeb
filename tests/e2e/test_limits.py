"""What is in flight is bounded, whatever comes and whatever is refused."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING

import pytest

from tests.support.line import STREAM
from tests.support.order import assert_delivered

if TYPE_CHECKING:
    from tests.support.line import Line

MEBIBYTE = 1 << 20
LARGE, AFTER = 1_000_000, 1_000_001


def test_one_lane_refused_for_ever_while_others_flow(line: Line) -> None:
    limit = 2000
    line.configure(
        flow={"events_in_flight": limit},
        source={"batch_size": 200},
        error_handling={"max_backoff": "250ms"},
    )
    line.prepare()
    orders = line.orders(size=1000)
    orders.insert(20_000)
    line.pubsub.fault("status", times=-1, match={"ordering_key": f"{STREAM}/7"})
    with line.run() as process:
        # Every other lane has published its part of the events that may be in flight.
        line.pubsub.wait(messages=int(limit * 0.8))
        line.pubsub.wait(faults=5)
        delivered, memory = line.delivered(), process.rss_bytes()
        line.pubsub.wait(faults=25)
        assert line.delivered() == delivered <= limit
        assert process.rss_bytes() < memory + 10 * MEBIBYTE
        line.pubsub.clear_faults()
        line.wait_until_delivered(orders)
        process.signal(signal.SIGTERM)
        assert process.wait() == 0, process.stderr
    assert line.delivered() == orders.written
    line.assert_delivered(orders)


def test_a_budget_smaller_than_one_document(line: Line) -> None:
    line.configure(flow={"bytes_in_flight": "1kB", "events_in_flight": 3})
    line.prepare()
    orders = line.orders(size=5000)
    orders.insert(50)
    assert line.catch_up("--timeout", "50s").wait() == 0
    line.assert_delivered(orders)


def test_requests_stay_within_the_limits_of_pubsub(line: Line) -> None:
    """The fake refuses what the service would: keys mixed, 1,000 messages, 10 MB."""
    line.configure(pubsub={"lanes": 1})
    line.prepare()
    orders = line.orders(size=40_000)
    orders.insert(1500)
    assert line.catch_up().wait() == 0
    line.assert_delivered(orders)
    assert line.pubsub.stats()["refused"] == 0


def test_a_document_over_the_limit_stops_its_stream_before_it(line: Line) -> None:
    line.prepare()
    orders = line.orders()
    orders.insert(5)
    secret = "s3cret" * (11 * 1_000_000 // 6)
    line.collection.insert_one({"_id": LARGE, "revision": 1, "text": secret})
    line.collection.insert_one({"_id": AFTER, "revision": 1})
    for _ in range(2):
        process = line.catch_up()
        assert process.wait() == 1
        assert f"error: {STREAM}: " in process.stderr
        assert "10 MB" in process.stderr
        assert re.search(r"for an event [0-9a-f]{32} of \w+\.orders ", process.stderr)
        assert "$project" in process.stderr.partition("hint: ")[2]
        assert "s3cret" not in process.stderr
    # What the hint says helps, and shows that the position was never past it.
    line.configure(source={"pipeline": [{"$project": {"fullDocument.text": 0}}]})
    assert line.catch_up().wait() == 0
    assert_delivered(line.pubsub.messages(), {**orders.revisions, LARGE: 1, AFTER: 1})


@pytest.mark.heavy
@pytest.mark.timeout(900)
def test_memory_does_not_grow_with_the_number_of_documents(line: Line) -> None:
    line.prepare()
    line.pubsub.mode(keep="count")
    orders = line.orders(size=50)
    memory = []
    with line.run() as process:
        for _ in range(10):
            orders.insert(100_000)
            line.pubsub.wait(messages=orders.written, timeout_ms=120_000)
            memory.append(process.rss_bytes())
        process.signal(signal.SIGTERM)
        assert process.wait() == 0, process.stderr
    assert memory[-1] < memory[1] + 20 * MEBIBYTE, memory
