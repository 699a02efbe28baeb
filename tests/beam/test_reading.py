"""The reader on a real mongod, without a runner: what a bundle gives, and where it is left."""

from __future__ import annotations

import pickle
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest
from apache_beam.utils.timestamp import MIN_TIMESTAMP, Timestamp
from mongo_gcp_stream.beam import ChangeBatch, ChangeEvent, ReadFromMongoDBChangeStream
from mongo_gcp_stream.beam import read as read_module
from mongo_gcp_stream.beam.readers import READERS
from mongo_gcp_stream.errors import StreamFailedError

from tests.support.bundles import Reading, Source
from tests.support.mongod import RESUMABLE, failing
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from tests.support.reading import Shop


def read(shop: Shop, **arguments: Any) -> Reading:
    transform = ReadFromMongoDBChangeStream(shop.mongod.uri, shop.database, "orders", **arguments)
    return Reading(Source(transform))


def numbers(batches: list[ChangeBatch]) -> list[int]:
    return [(event.full_document or {})["n"] for batch in batches for event in batch]


def read_numbers(reading: Reading, count: int) -> list[int]:
    """Read until there are so many events; the numbers of all."""

    def found() -> list[int]:
        return numbers([output.value for output in reading.outputs])

    eventually(lambda: reading.bundle() and len(found()) >= count, f"{count} events")
    return found()


def test_nothing_goes_out_before_the_position_that_the_stream_opened_at_is_safe(shop: Shop) -> None:
    """Tried again, the bundle that opens would open later, and miss what it has given."""
    reading = read(shop)

    def opened() -> bool:
        bundle = reading.bundle()
        assert not bundle.outputs
        return reading.left is not None and reading.left.position.after is not None

    eventually(opened, "the stream is open")
    shop.insert(1, 2)
    assert read_numbers(reading, 2) == [1, 2]


def test_what_was_there_at_the_opening_comes_after_the_position(shop: Shop) -> None:
    """The first reply of the server holds events: the bundle that opens leaves them."""
    shop.insert(*range(10))
    reading = read(shop, options={"startup": "earliest"})
    eventually(
        lambda: not reading.bundle().outputs and reading.left and reading.left.position.after,
        "the stream is open",
    )
    assert read_numbers(reading, 10) == list(range(10))


def test_nothing_is_lost_from_the_opening_on(shop: Shop) -> None:
    reading = read(shop)
    reading.open()
    shop.insert(1, 2, 3)
    READERS.close()  # as where the worker ended
    assert read_numbers(reading, 3) == [1, 2, 3]


def test_another_worker_goes_on_where_the_last_bundle_ended(shop: Shop) -> None:
    reading = read(shop, batch_size=2)
    reading.open()
    shop.insert(*range(6))
    for count in (2, 4, 6):
        assert read_numbers(reading, count) == list(range(count))
        READERS.close()
    reading.source.dofn = pickle.loads(pickle.dumps(reading.source.dofn))  # noqa: S301
    shop.insert(6)
    assert read_numbers(reading, 7) == list(range(7))


def test_an_idle_stream_moves_its_watermark_and_its_position(shop: Shop) -> None:
    """By the post-batch token: the server writes a no-op each second."""
    reading = read(shop)
    assert reading.left
    assert reading.left.watermark == MIN_TIMESTAMP
    reading.open()
    seen = {(reading.left.watermark, reading.left.position)}

    def moved() -> bool:
        assert not reading.bundle().outputs
        assert reading.left
        seen.add((reading.left.watermark, reading.left.position))
        return len({watermark for watermark, _ in seen}) >= 3

    eventually(moved, "the watermark moved twice")
    assert len({position for _, position in seen}) >= 3


def test_an_element_has_the_second_of_its_events(shop: Shop) -> None:
    reading = read(shop)
    reading.open()
    seconds: set[int] = set()

    def insert() -> bool:
        shop.insert(1)
        seconds.add(shop.client.admin.command("ping")["operationTime"].time)
        return len(seconds) >= 3

    eventually(insert, "inserts in three seconds")
    eventually(
        lambda: reading.bundle() and len({out.timestamp for out in reading.outputs}) >= 3,
        "events of three seconds",
    )
    for output in reading.outputs:
        times = {event.cluster_time.time for event in output.value}
        assert {Timestamp(seconds=time) for time in times} == {output.timestamp}


def test_a_backlog_is_cut_at_its_seconds(shop: Shop) -> None:
    """One reply of the server with events of two seconds is two elements."""
    reading = read(shop)
    reading.open()
    READERS.close()
    seconds: set[int] = set()

    def insert() -> bool:
        shop.insert(1)
        seconds.add(shop.client.admin.command("ping")["operationTime"].time)
        return len(seconds) >= 2

    eventually(insert, "inserts in two seconds")
    eventually(lambda: reading.bundle().outputs, "the backlog")
    assert len({output.timestamp for output in reading.outputs}) == len(reading.outputs)


def test_a_read_with_an_end_is_over(shop: Shop) -> None:
    shop.insert(1, 2, 3)
    last = shop.client.admin.command("ping")["operationTime"].time
    end = datetime.fromtimestamp(last, timezone.utc)
    reading = read(shop, end_at=end, options={"startup": "earliest"})
    eventually(lambda: reading.bundle() and reading.left is None, "the end")
    assert numbers([output.value for output in reading.outputs]) == [1, 2, 3]


def test_an_end_leaves_out_what_comes_after_its_second(shop: Shop) -> None:
    shop.insert(1, 2)
    last = shop.client.admin.command("ping")["operationTime"].time

    def later() -> bool:
        return bool(shop.client.admin.command("ping")["operationTime"].time > last)

    eventually(later, "the next second")
    shop.insert(3)
    end = datetime.fromtimestamp(last, timezone.utc)
    reading = read(shop, end_at=end, options={"startup": "earliest"}, batch_size=1)
    eventually(lambda: reading.bundle() and reading.left is None, "the end")
    assert numbers([output.value for output in reading.outputs]) == [1, 2]


def test_events_come_one_by_one_where_they_are_asked_for(shop: Shop) -> None:
    reading = read(shop, output="events")
    reading.open()
    shop.insert(1, 2, 3)
    events = reading.until(3)
    assert all(isinstance(event, ChangeEvent) for event in events)
    assert [event.full_document["n"] for event in events] == [1, 2, 3]
    for output in reading.outputs:
        assert output.timestamp == Timestamp(seconds=output.value.cluster_time.time)


def test_a_bundle_has_no_more_events_than_it_may(shop: Shop) -> None:
    reading = read(shop, batch_size=4)
    reading.open()
    shop.insert(*range(10))
    sizes = []

    def all_read() -> bool:
        bundle = reading.bundle()
        taken = sum(len(output.value) for output in bundle.outputs)
        # While data flows the runner is to go on at once.
        assert bundle.delay is not None
        assert (bundle.delay.micros <= 0) == bool(taken)
        sizes.append(taken)
        return sum(sizes) == 10

    eventually(all_read, "all of them")
    assert max(sizes) == 4
    assert numbers([output.value for output in reading.outputs]) == list(range(10))


@pytest.mark.parametrize(("limit", "value"), [("BUNDLE_BYTES", 1), ("BUNDLE_SECONDS", 0.0)])
def test_a_bundle_takes_no_more_bytes_or_time_than_it_may(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, limit: str, value: float
) -> None:
    monkeypatch.setattr(read_module, limit, value)
    reading = read(shop, options={"batch_size": 2})
    reading.open()
    shop.insert(*range(6))

    def all_read() -> bool:
        assert len(reading.bundle().outputs) <= 1
        return len(numbers([output.value for output in reading.outputs])) == 6

    eventually(all_read, "all of them")


def test_a_stream_that_stays_idle_is_looked_at_less_often(shop: Shop) -> None:
    reading = read(shop)
    reading.open()
    delays: list[int] = []

    def slow() -> bool:
        bundle = reading.bundle()
        assert bundle.delay is not None
        delays.append(bundle.delay.micros)
        # What the bundle took meanwhile is taken off.
        return delays[-1] > 90_000

    eventually(slow, "a long delay")
    assert all(delay <= 100_000 for delay in delays)
    shop.insert(1)
    reading.until(1)
    bundle = reading.bundle()
    assert bundle.delay
    assert bundle.outputs or bundle.delay.micros <= 50_000


@pytest.mark.parametrize("command", ["getMore", "aggregate"])
def test_history_that_is_lost_fails_the_bundle_and_says_what_to_do(
    shop: Shop, command: str
) -> None:
    """While it is read, and when a worker opens it again: then it looks whether it is the token."""
    reading = read(shop)
    reading.open()
    READERS.close()
    fault = failing(shop.mongod, [command], times=1, errorCode=286)
    with fault, pytest.raises(StreamFailedError) as caught:
        eventually(lambda: reading.bundle() and False, "an error")
    message = str(caught.value)
    assert message.startswith("main.orders: the oplog no longer holds the position")
    assert "start a new pipeline without the old one's state" in message
    assert caught.value.hint in message
    assert caught.value.stream_id == "main.orders"
    # The position was kept, and the fault is gone.
    shop.insert(1)
    assert read_numbers(reading, 1) == [1]


def test_a_fault_that_the_server_calls_resumable_is_not_seen(shop: Shop) -> None:
    reading = read(shop)
    reading.open()
    fault = {"errorCode": 91, "errorLabels": [RESUMABLE]}
    with failing(shop.mongod, ["getMore"], times=2, **fault) as fail_point:
        shop.insert(1)
        assert read_numbers(reading, 1) == [1]
        fail_point.wait_until_hit()


def test_a_server_that_is_away_is_waited_for(own_shop: Shop) -> None:
    shop = own_shop
    reading = read(shop)
    reading.open()
    shop.insert(1)
    assert read_numbers(reading, 1) == [1]
    shop.mongod.kill()
    for _ in range(3):
        assert not reading.bundle().outputs
    READERS.close()  # a worker that comes up meanwhile waits, too
    for _ in range(3):
        assert not reading.bundle().outputs
    shop.mongod.start()
    shop.insert(2)
    assert read_numbers(reading, 2) == [1, 2]
