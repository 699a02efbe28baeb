"""Readers that stay open between bundles: never one that is ahead of who takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from mongo_gcp_stream.beam import ReadFromMongoDBChangeStream, read, readers
from mongo_gcp_stream.beam.readers import READERS, Key, Reader, Readers
from mongo_gcp_stream.beam.restriction import Position

from tests.support.bundles import Reading, Source
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from tests.support.bundles import Bundle
    from tests.support.reading import Shop

STREAM = "main.orders"


class Opened:
    """How often a stream was opened."""

    def __init__(self) -> None:
        self.times = 0

    def sources_of(self, settings: Any, *, follow: bool) -> Any:
        """What the reader opens its streams with."""
        self.times += 1
        return readers.sources_of(settings, follow=follow)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Opened:
    """Counts."""
    opened = Opened()
    monkeypatch.setattr(read, "sources_of", opened.sources_of)
    return opened


@pytest.fixture
def reading(shop: Shop, opened: Opened) -> Reading:
    """A stream that is open, read event by event."""
    where = (shop.mongod.uri, shop.database, "orders")
    reading = Reading(Source(ReadFromMongoDBChangeStream(*where, output="events")))
    reading.open()
    assert opened.times == 1
    return reading


def numbers(found: Reading | Bundle) -> list[int]:
    return [output.value.full_document["n"] for output in found.outputs]


def read_all(reading: Reading, count: int) -> list[int]:
    reading.until(count)
    return numbers(reading)


def discarded(reading: Reading, count: int) -> Bundle:
    """A bundle with so many events that has ended, and of which the runner keeps nothing."""

    def bundle() -> Bundle | None:
        bundle = reading.start()
        bundle.end()
        return bundle if len(bundle.outputs) == count else None

    return eventually(bundle, f"a bundle of {count}")  # type: ignore[return-value]


def begun(reading: Reading) -> Bundle:
    """A bundle that has given its first event; empty ones before it are committed."""

    def bundle() -> Bundle | None:
        bundle = reading.start()
        if bundle.step():
            return bundle
        reading.commit(bundle)
        return None

    return eventually(bundle, "an event")  # type: ignore[return-value]


def test_a_stream_is_opened_once(shop: Shop, reading: Reading, opened: Opened) -> None:
    for number in range(5):
        shop.insert(number)
        assert read_all(reading, number + 1) == list(range(number + 1))
    assert opened.times == 1


def test_a_discarded_bundle_is_read_again(shop: Shop, reading: Reading, opened: Opened) -> None:
    shop.insert(1, 2)
    assert numbers(discarded(reading, 2)) == [1, 2]
    before = opened.times
    shop.insert(3)
    assert read_all(reading, 3) == [1, 2, 3]
    assert opened.times > before


def test_a_bundle_that_fails_half_way_is_read_again(shop: Shop, reading: Reading) -> None:
    shop.insert(1, 2, 3)
    begun(reading).fail()
    assert read_all(reading, 3) == [1, 2, 3]


def test_a_zombie_and_its_successor_do_not_share_a_reader(shop: Shop, reading: Reading) -> None:
    shop.insert(1, 2)
    zombie = begun(reading)
    assert read_all(reading, 2) == [1, 2]
    zombie.end()  # gives back its reader, for the same position
    shop.insert(3)
    assert read_all(reading, 3) == [1, 2, 3]


def test_a_split_between_claims_keeps_the_reader(
    shop: Shop, reading: Reading, opened: Opened
) -> None:
    """What was claimed goes out, and who gets the rest finds the reader there."""
    shop.insert(1, 2, 3)
    bundle = begun(reading)
    assert bundle.split()
    reading.commit(bundle)
    assert read_all(reading, 3) == [1, 2, 3]
    assert opened.times == 1


def test_a_split_before_the_first_claim_leaves_all_of_it(
    shop: Shop, reading: Reading, opened: Opened
) -> None:
    bundle = reading.start()
    assert bundle.split()
    assert not bundle.split()
    shop.insert(1)
    assert not reading.commit(bundle).outputs
    assert read_all(reading, 1) == [1]
    assert opened.times == 1


def test_a_reader_that_nobody_takes_is_closed(
    reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    READERS.close()
    monkeypatch.setattr(readers, "IDLE_SECONDS", 0.01)
    reading.bundle()
    eventually(lambda: len(READERS) == 0, "it was closed")
    # And so is the next one.
    reading.bundle()
    eventually(lambda: len(READERS) == 0, "it was closed")


class Slices:
    """Stands for a stream that is open; who keeps it never looks into it."""

    def next(self, most: int, timeout_ms: int) -> None:
        """Gives nothing."""


def reader() -> Reader:
    return Reader(Slices())  # type: ignore[arg-type]


def test_a_reader_is_taken_at_its_exact_position_only() -> None:
    kept, mine = Readers(), reader()
    key = Key("pipeline", STREAM, Position(b"1"))
    kept.give_back(key, mine)
    others = [
        key._replace(pipeline="other"),
        key._replace(stream="main.other"),
        key._replace(position=Position(b"2")),
        key._replace(position=Position(b"1", end=(9, 9))),
        key._replace(position=Position()),
    ]
    assert [kept.take(other) for other in others] == [None] * 5
    assert kept.take(key) is mine
    assert kept.take(key) is None, "who takes it owns it"
    kept.close()


def test_one_reader_is_kept_for_each_stream() -> None:
    """A runner that tries bundles again and again does not gather readers."""
    kept, last = Readers(), reader()
    for number in range(100):
        kept.give_back(Key("pipeline", STREAM, Position(b"%d" % number)), reader())
    kept.give_back(Key("pipeline", STREAM, Position(b"last")), last)
    assert len(kept) == 1
    assert kept.take(Key("pipeline", STREAM, Position(b"last"))) is last
    kept.close()


def test_the_number_of_readers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "MOST", 3)
    kept = Readers()
    keys = [Key("pipeline", f"main.s{number}", Position(b"1")) for number in range(4)]
    for key in (*keys[:3], keys[0], keys[3]):
        kept.give_back(key, reader())
    assert len(kept) == 3
    assert kept.take(keys[1]) is None, "it was kept longest"
    assert all(kept.take(key) for key in (keys[0], keys[2], keys[3]))
    kept.close()


def test_delays_grow_while_a_stream_is_idle_and_begin_anew() -> None:
    mine = reader()
    idle = [mine.delay(0) for _ in range(20)]
    delays = [delay.micros for delay in idle if delay]
    assert delays == sorted(delays)
    assert (delays[0], delays[-1]) == (50_000, 100_000)
    assert mine.delay(1) is None
    assert mine.delay(0) == idle[0]
