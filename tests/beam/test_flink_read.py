"""Our reader and our sink on Flink: a worker is lost, and the stream goes on from a checkpoint."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import apache_beam as beam
import pytest
from mongo_gcp_stream.beam import ReadFromMongoDBChangeStream, ValidateAndEnrich, WriteToPubSub

from tests.support.beam_runner import running
from tests.support.flink_server import FlinkServer, why_not
from tests.support.line import STREAM
from tests.support.recorder import FileRecorder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mongo_gcp_stream.beam import ChangeBatch

    from tests.support.beam_runner import RunningPipeline
    from tests.support.line import Line
    from tests.support.orders import Orders


class Committed(beam.DoFn):
    """Tells which events a checkpoint of Flink is behind, when it is complete."""

    def __init__(self, recorder: FileRecorder) -> None:
        self._recorder = recorder

    def process(
        self, element: ChangeBatch, finalizer: Any = beam.DoFn.BundleFinalizerParam
    ) -> Iterator[ChangeBatch]:
        ids = [event.event_id for event in element]
        finalizer.register(lambda: self._recorder.add(ids))
        yield element


@pytest.fixture
def flink(line: Line, monkeypatch: pytest.MonkeyPatch) -> Iterator[FlinkServer]:
    """A Flink whose workers publish to the fake of `line`."""
    if why_not():
        pytest.skip(why_not())
    for name, value in line.env.items():
        monkeypatch.setenv(name, value)
    with FlinkServer() as server:
        yield server


def orders_to_pubsub(
    line: Line, flink: FlinkServer, committed: FileRecorder, **read: Any
) -> beam.Pipeline:
    pipeline = beam.Pipeline(options=flink.options())
    source = ReadFromMongoDBChangeStream(line.mongod.uri, line.database, "orders", **read)
    rules = {STREAM: {"revision": {"type": "number", "required": True}}}
    (
        pipeline
        | source
        | beam.ParDo(Committed(committed))
        | ValidateAndEnrich(schemas=rules)
        | WriteToPubSub(line.topic)
    )
    return pipeline


@contextmanager
def writing(orders: Orders) -> Iterator[None]:
    """Write on, until the end of the block, no faster than bundles of 100 are read."""
    enough = threading.Event()

    def write() -> None:
        while not enough.wait(0.05):
            orders.write(20)

    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(write)
        try:
            yield
        finally:
            enough.set()
        written.result()


def ids(recorder: FileRecorder) -> set[str]:
    return {event for batch in recorder.events() for event in batch}


def kill_and_recover(
    pipeline: RunningPipeline, flink: FlinkServer, line: Line, committed: FileRecorder, more: int
) -> tuple[int, set[str]]:
    """Kill the workers some messages after a checkpoint, and wait for a checkpoint without them.

    Returns:
        What was delivered when they were killed, and which of it was behind a checkpoint.
    """
    before = ids(committed)
    pipeline.eventually(lambda: len(ids(committed) - before) >= 100, "a checkpoint")
    goal = line.delivered() + more
    pipeline.eventually(lambda: line.delivered() >= goal, "more is delivered")
    behind = ids(committed)
    assert flink.workers.kill_workers()
    delivered = line.delivered()
    pipeline.eventually(lambda: not ids(committed) <= behind, "another checkpoint")
    return delivered, behind


@pytest.mark.heavy
@pytest.mark.timeout(400)  # it assembles the job server where `make` has not
def test_what_is_behind_a_checkpoint_is_not_read_again_when_a_worker_is_lost(
    flink: FlinkServer, line: Line, tmp_path: Path
) -> None:
    """The moments are counts of delivered messages, drawn with a fixed seed."""
    moments = random.Random(7)
    committed = FileRecorder(tmp_path / "committed")
    orders = line.orders()
    # Without a checkpoint of Flink all would come again.
    options = {"startup": "earliest"}
    changes = orders_to_pubsub(line, flink, committed, options=options, batch_size=100)
    with running(changes) as pipeline:
        with writing(orders):
            kills = [
                kill_and_recover(pipeline, flink, line, committed, moments.randint(1, 500))
                for _ in range(2)
            ]
        line.pubsub.wait(distinct_event_ids=orders.written, timeout_ms=60_000)
    line.assert_delivered(orders)
    events = line.event_ids()
    for delivered, behind in kills:
        assert not behind & set(events[delivered:]), "what was committed came again"
