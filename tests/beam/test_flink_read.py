"""Our reader and our sink on Flink: workers are lost, and the stream goes on from a checkpoint."""

from __future__ import annotations

import json
import random
import threading
import uuid
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

    from mongo_gcp_stream.beam import ChangeBatch

    from tests.support.beam_runner import RunningPipeline
    from tests.support.line import Line
    from tests.support.orders import Orders


class Finalized(beam.DoFn):
    """Tells the events of bundles that are finalized: Flink does it when a checkpoint is complete.

    It finalizes what has ended since the checkpoint was taken as well: such a bundle is only behind
    the next one.
    """

    def __init__(self, recorder: FileRecorder) -> None:
        self._recorder = recorder

    def process(
        self, element: ChangeBatch, finalizer: Any = beam.DoFn.BundleFinalizerParam
    ) -> Iterator[ChangeBatch]:
        events = [event.event_id for event in element]
        finalizer.register(lambda: self._recorder.add(events))
        yield element


class Scene:
    """A Flink on which changes of a line's orders are read and published.

    Attributes:
        flink: The Flink.
        pipeline: What runs there.
    """

    def __init__(self, line: Line, flink: FlinkServer, finalized: FileRecorder) -> None:
        self._line = line
        self.flink = flink
        self._finalized = finalized
        self.pipeline: RunningPipeline

    def finalized(self) -> set[str]:
        """The events that have been finalized so far."""
        return {event for batch in self._finalized.events() for event in batch}

    def checkpoint(self) -> set[str]:
        """Wait for a checkpoint of Flink, and return events that are behind it."""
        known = set(self._line.event_ids())
        self.pipeline.eventually(lambda: self.finalized() - known, "a checkpoint")
        behind = self.finalized()
        # What comes from here on is finalized by another one, which has all that was before.
        delivered = set(self._line.event_ids())
        self.pipeline.eventually(lambda: self.finalized() - delivered, "the checkpoint after it")
        return behind

    def deliver(self, more: int) -> None:
        """Wait for more deliveries."""
        goal = self._line.delivered() + more
        self.pipeline.eventually(lambda: self._line.delivered() >= goal, "more is delivered")


@contextmanager
def on_flink(line: Line, *, checkpoint_ms: int = 500, **read: Any) -> Iterator[Scene]:
    """Read, validate and write on a Flink of its own, which ends with the block as in a crash."""
    recorder = FileRecorder(line.folder / f"finalized{uuid.uuid4().hex}")
    with FlinkServer() as flink:
        pipeline = beam.Pipeline(options=flink.options(checkpoint_ms=checkpoint_ms))
        where = (line.mongod.uri, line.database, "orders")
        rules = {STREAM: {"revision": {"type": "number", "required": True}}}
        (
            pipeline
            | ReadFromMongoDBChangeStream(*where, batch_size=100, **read)
            | beam.ParDo(Finalized(recorder))
            | ValidateAndEnrich(schemas=rules)
            | WriteToPubSub(line.topic)
        )
        scene = Scene(line, flink, recorder)
        with running(pipeline) as scene.pipeline:
            yield scene


@pytest.fixture(autouse=True)
def workers_publish_to_the_fake(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    if why_not():
        pytest.skip(why_not())
    for name, value in line.env.items():
        monkeypatch.setenv(name, value)


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


def position(line: Line) -> Any:
    """Where the stream is by the checkpoint of our own."""
    return json.loads(line.checkpoint.read_text())["position"]


@pytest.mark.heavy
@pytest.mark.timeout(400)  # it assembles the job server where `make` has not
def test_what_is_behind_a_checkpoint_does_not_come_again_when_workers_are_lost(line: Line) -> None:
    """The moments are counts of delivered messages, drawn with a fixed seed."""
    moments = random.Random(7)
    orders = line.orders()
    kills: list[tuple[int, set[str]]] = []
    # Without a checkpoint of Flink all would come again.
    with on_flink(line, options={"startup": "earliest"}) as scene:
        with writing(orders):
            for _ in range(2):
                behind = scene.checkpoint()
                scene.deliver(moments.randint(1, 500))
                assert scene.flink.workers.kill_workers()
                kills.append((line.delivered(), behind))
            scene.checkpoint()
        line.pubsub.wait(distinct_event_ids=orders.written, timeout_ms=60_000)
    line.assert_delivered(orders)
    events = line.event_ids()
    for delivered, behind in kills:
        assert not behind & set(events[delivered:]), "what was committed came again"


@pytest.mark.heavy
@pytest.mark.timeout(400)
def test_our_own_checkpoint_moves_behind_those_of_flink(line: Line) -> None:
    orders = line.orders()
    store = {"store": "file", "path": str(line.folder / "state"), "interval": "20ms"}
    a_day = 86_400_000
    with on_flink(line, checkpoint_ms=a_day, resume="RESUME_OR_NEW", checkpoint=store) as scene:
        scene.pipeline.eventually(line.checkpoint.exists, "the opening position stored")
        opening = position(line)
        orders.write(300)
        line.pubsub.wait(distinct_event_ids=orders.written, timeout_ms=60_000)
        # Flink has nothing to go on from: without ours the stream would begin at a later `latest`.
        assert scene.flink.workers.kill_workers()
        orders.write(100)
        line.pubsub.wait(distinct_event_ids=orders.written, timeout_ms=60_000)
        assert position(line) == opening, "moved without a checkpoint of Flink"
    with on_flink(line, resume="RESUME_OR_FAIL", checkpoint=store) as scene:
        orders.write(300)
        scene.pipeline.eventually(lambda: len(scene.finalized()) >= orders.written, "finalized")
        scene.pipeline.eventually(lambda: position(line) != opening, "it moves")
    line.assert_delivered(orders)
    delivered = line.delivered()
    with on_flink(line, resume="RESUME_OR_FAIL", checkpoint=store):
        orders.write(100)
        line.pubsub.wait(distinct_event_ids=orders.written, timeout_ms=60_000)
    line.assert_delivered(orders)
    events = line.event_ids()
    assert events[0] not in events[delivered:], "it began where the first one did"
