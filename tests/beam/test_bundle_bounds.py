"""A bundle of several streams is bounded as one: by what it waits, takes, and holds."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
from mongo_gcp_stream.beam import ReadFromMongoDBChangeStream, read
from mongo_gcp_stream.beam.readers import READERS

from tests.support.bundles import Bundle, Left, Source
from tests.support.fake_stream import FakeSources, FakeStream

STREAMS = 8
SLICE_MS = 100


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> FakeStream:
    """What all streams read; the only clock is what it lets them wait."""
    READERS.close()
    stream = FakeStream(ready=10_000)
    clock = SimpleNamespace(monotonic=lambda: stream.spent_ms / 1000, time=time.time)
    monkeypatch.setattr(read, "time", clock)
    monkeypatch.setattr(read, "sources_of", FakeSources(stream))
    return stream


class Worker:
    """Takes all streams into each of its bundles."""

    def __init__(self) -> None:
        keys = {"database": "shop", "collection": "orders"}
        sources = {f"orders{number}": keys for number in range(STREAMS)}
        connection = {"uri": "mongodb://localhost", "sources": sources}
        config = {"mongodb": {"connections": {"main": connection}}}
        self._source = Source(ReadFromMongoDBChangeStream(config=config))
        self._left: list[Left] = [self._source.beginning(one) for one in self._source.streams]

    def bundle(self) -> list[int]:
        """How many outputs each stream has in one bundle."""
        self._source.dofn.start_bundle()
        counts = []
        for number, stream in enumerate(self._source.streams):
            bundle = Bundle(self._source, stream, self._left[number], begun=True)
            left = bundle.end()
            assert left
            self._left[number] = left
            counts.append(len(bundle.outputs))
        return counts


def test_streams_that_are_idle_share_the_wait(stream: FakeStream) -> None:
    worker = Worker()
    worker.bundle()
    before = stream.spent_ms
    assert worker.bundle() == [0] * STREAMS
    assert stream.spent_ms - before == read.WAIT_MS


def test_streams_with_a_backlog_share_the_time(
    stream: FakeStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker()
    worker.bundle()
    fill(stream, monkeypatch)
    before = stream.spent_ms
    counts = worker.bundle()
    within = int(read.BUNDLE_SECONDS * 1000) // SLICE_MS
    assert counts == [within, *[1] * (STREAMS - 1)]
    assert stream.spent_ms - before == SLICE_MS * sum(counts)


def test_streams_with_a_backlog_share_the_bytes(
    stream: FakeStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read, "BUNDLE_BYTES", 3)
    worker = Worker()
    worker.bundle()
    fill(stream, monkeypatch, slice_ms=0)
    assert worker.bundle() == [3, *[1] * (STREAMS - 1)]


def test_a_position_that_moves_on_an_idle_stream_is_nothing_to_wait_after(
    stream: FakeStream,
) -> None:
    worker = Worker()
    worker.bundle()
    stream.append(1, change=False)
    before = stream.spent_ms
    assert worker.bundle() == [0] * STREAMS
    assert stream.spent_ms == before


def test_a_full_reply_is_worth_a_wait_that_the_bundle_bounds(
    stream: FakeStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read, "BUNDLE_SECONDS", 1.5 * read.FULLER_MS / 1000)
    worker = Worker()
    worker.bundle()
    stream.catching_up = True
    stream.append(1)
    before = stream.spent_ms
    assert worker.bundle() == [1] * STREAMS
    assert stream.spent_ms - before == pytest.approx(1.5 * read.FULLER_MS, abs=1)


def fill(stream: FakeStream, monkeypatch: pytest.MonkeyPatch, slice_ms: int = SLICE_MS) -> None:
    """Give each stream a backlog, in slices of one event of which each takes its time."""
    monkeypatch.setattr(read, "CATCHING_UP", 1)
    stream.slice_ms = slice_ms
    for _ in range(20):
        stream.append(1)
