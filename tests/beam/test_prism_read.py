"""The reader on runners: for ever on Prism, up to an end on a bounded one, refused elsewhere."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import FixedWindows
from mongo_gcp_stream._runners import CANNOT, RUNNERS
from mongo_gcp_stream.beam import ChangeBatch, ChangeEvent, ReadFromMongoDBChangeStream
from mongo_gcp_stream.errors import ConfigError

from tests.support.beam_runner import running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.beam_runner import PrismServer, RunningPipeline
    from tests.support.reading import Shop
    from tests.support.recorder import Recorder

WHERE = ("mongodb://localhost/?replicaSet=rs0", "shop", "orders")


class Tell(beam.DoFn):
    """Tells the test what comes by."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def process(self, element: Any) -> None:
        self._recorder.add(element)


class Number(beam.DoFn):
    """Gives the stream and the number of each event."""

    def process(self, element: ChangeEvent) -> Iterator[tuple[str, int]]:
        yield element.stream, (element.full_document or {})["n"]


class Window(beam.DoFn):
    """Gives the second of each window, and what is in it."""

    def process(
        self, element: tuple[str, list[int]], window: Any = beam.DoFn.WindowParam
    ) -> Iterator[tuple[int, list[int]]]:
        yield int(window.start), sorted(element[1])


def orders(shop: Shop, **arguments: Any) -> ReadFromMongoDBChangeStream:
    return ReadFromMongoDBChangeStream(shop.mongod.uri, shop.database, "orders", **arguments)


def open_streams(pipeline: RunningPipeline, shop: Shop, recorder: Recorder, *names: str) -> None:
    """Insert until an event of each collection has come through: from then on nothing is lost."""

    def come() -> bool:
        for name in names:
            shop.insert(-1, collection=name)
        return {stream for stream, _ in recorder.events()} == {f"main.{name}" for name in names}

    pipeline.eventually(come, "the streams are open")


def numbers(recorder: Recorder, stream: str = "main.orders") -> list[int]:
    return [number for of, number in recorder.events() if of == stream and number >= 0]


def test_stock_beam_reads_event_by_event(
    shop: Shop, prism: PrismServer, recorder: Recorder
) -> None:
    pipeline = beam.Pipeline(options=prism.options())
    events = pipeline | orders(shop, output="events")
    events | beam.ParDo(Number()) | beam.ParDo(Tell(recorder))
    with running(pipeline) as started:
        open_streams(started, shop, recorder, "orders")
        shop.insert(*range(100))
        started.eventually(lambda: len(numbers(recorder)) >= 100, "100 events")
    assert started.result.state == "CANCELLED"
    assert numbers(recorder) == list(range(100))


def test_all_streams_of_a_configuration_are_read(
    shop: Shop, prism: PrismServer, recorder: Recorder
) -> None:
    names = ("orders", "users", "items")
    pipeline = beam.Pipeline(options=prism.options())
    batches = pipeline | ReadFromMongoDBChangeStream(config=shop.config(*names))
    batches | beam.FlatMap(list) | beam.ParDo(Number()) | beam.ParDo(Tell(recorder))
    with running(pipeline) as started:
        open_streams(started, shop, recorder, *names)
        for name in names:
            shop.insert(*range(10), collection=name)
        streams = [f"main.{name}" for name in names]
        started.eventually(
            lambda: all(len(numbers(recorder, stream)) >= 10 for stream in streams), "10 of each"
        )
    for name in names:
        assert numbers(recorder, f"main.{name}") == list(range(10))


def test_one_stream_of_a_configuration_is_read(
    shop: Shop, prism: PrismServer, recorder: Recorder
) -> None:
    config = shop.config("orders", "users")
    pipeline = beam.Pipeline(options=prism.options())
    read = ReadFromMongoDBChangeStream(config=config, source="main.users", output="events")
    pipeline | read | beam.ParDo(Number()) | beam.ParDo(Tell(recorder))
    with running(pipeline) as started:
        open_streams(started, shop, recorder, "users")
        shop.insert(1, collection="orders")
        shop.insert(2, collection="users")
        started.eventually(lambda: numbers(recorder, "main.users"), "an event")
    assert {stream for stream, _ in recorder.events()} == {"main.users"}


def test_windows_fire_while_data_flows_and_while_idle(
    shop: Shop, prism: PrismServer, recorder: Recorder
) -> None:
    """The last window can only fire by the post-batch token: nothing comes after its events."""
    pipeline = beam.Pipeline(options=prism.options())
    (
        pipeline
        | orders(shop, output="events")
        | beam.ParDo(Number())
        | beam.WindowInto(FixedWindows(1))
        | beam.GroupByKey()
        | beam.ParDo(Window())
        | beam.ParDo(Tell(recorder))
    )
    written: dict[int, int] = {}

    def second() -> int:
        return int(shop.client.admin.command("ping")["operationTime"].time)

    def write() -> bool:
        shop.insert(len(written))
        written[second()] = len(written)
        return bool(recorder.events())

    with running(pipeline) as started:
        started.eventually(write, "a window fires while data flows")
        last = second()
        shop.insert(1_000_000)
        fired = started.eventually(
            lambda: [(start, found) for start, found in recorder.events() if 1_000_000 in found],
            "the last window fires while nothing comes",
        )
        assert fired[0][0] >= last
    starts = [start for start, _ in recorder.events()]
    assert starts == sorted(set(starts)), "each window fires once, in order"
    found = [number for _, numbers in recorder.events() for number in numbers]
    assert found == sorted(found), "no event is late, none twice"


@pytest.mark.parametrize("output", ["batches", "events"])
def test_a_read_with_an_end_is_a_bounded_pipeline(shop: Shop, output: Any) -> None:
    shop.insert(*range(10))
    last = shop.client.admin.command("ping")["operationTime"].time
    read = orders(
        shop,
        output=output,
        batch_size=4,
        options={"startup": "earliest"},
        end_at=datetime.fromtimestamp(last, timezone.utc),
    )
    with beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions([])) as pipeline:
        elements = pipeline | read
        # Not fused: elements, positions and watermarks go through their coders.
        events = elements | beam.Reshuffle() | beam.FlatMap(events_of)
        found = events | beam.Map(lambda event: event.full_document["n"])
        assert_that(found, equal_to(list(range(10))))


def test_it_counts(shop: Shop) -> None:
    shop.insert(*range(10))
    last = shop.client.admin.command("ping")["operationTime"].time
    end_at = datetime.fromtimestamp(last, timezone.utc)
    pipeline = beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions([]))
    pipeline | orders(shop, batch_size=4, options={"startup": "earliest"}, end_at=end_at)
    found = pipeline.run().metrics().query()
    counters = {it.key.metric.name: it.committed for it in found["counters"]}
    assert counters["events_read"] == 10
    lag = next(it for it in found["distributions"] if it.key.metric.name == "lag_seconds")
    assert lag.committed.count >= 3, "one for each bundle with events"
    assert 0 <= lag.committed.min <= lag.committed.max <= time.time() - last


def events_of(element: ChangeBatch | ChangeEvent) -> list[ChangeEvent]:
    return list(element) if isinstance(element, ChangeBatch) else [element]


@pytest.mark.parametrize("runner", CANNOT)
def test_runners_that_never_return_are_refused(runner: str) -> None:
    pipeline = beam.Pipeline(options=PipelineOptions([f"--runner={runner}"]))
    with pytest.raises(ValueError, match="for an unbounded source take") as caught:
        pipeline | ReadFromMongoDBChangeStream(*WHERE)
    for named in (*RUNNERS, "end_at"):
        assert named in str(caught.value)


UTC = timezone.utc
SOURCES = {"orders": {"database": "shop", "collection": "orders"}}
CONFIG = {"mongodb": {"connections": {"main": {"uri": WHERE[0], "sources": SOURCES}}}}


@pytest.mark.parametrize(
    ("path", "arguments"),
    [
        ("uri", {"uri": None}),
        ("uri", {"uri": "localhost:27017"}),
        ("uri", {"uri": 7}),
        ("collection", {"database": None}),
        ("database", {"database": 7, "source_name": "orders"}),
        ("source_name", {"collection": "orders.archive"}),
        ("source_name", {"source_name": ""}),
        ("connection_id", {"connection_id": "a.b"}),
        ("source", {"source": "main.orders"}),
        ("options", {"options": 7}),
        ("options.startup", {"options": {"startup": "newest"}}),
        ("options.batch", {"options": {"batch": 7}}),
        ("output", {"output": "rows"}),
        ("output", {"output": ["batches"]}),
        ("batch_size", {"batch_size": 0}),
        ("batch_size", {"batch_size": "5000"}),
        ("batch_size", {"batch_size": True}),
        ("options.database", {"options": {"database": "other"}}),
        ("checkpoint", {"resume": "RESUME_OR_NEW", "checkpoint": "state"}),
        ("checkpoint.store", {"resume": "RESUME_OR_NEW", "checkpoint": {"store": "memory"}}),
        ("end_at", {"end_at": "2026-01-31"}),
        ("end_at", {"end_at": datetime(2026, 1, 31)}),  # noqa: DTZ001 -- that is what is wrong
        ("end_at", {"end_at": datetime(1960, 1, 31, tzinfo=UTC)}),
    ],
)
def test_a_wrong_argument_is_named_at_once(path: str, arguments: dict[str, Any]) -> None:
    usual = {"uri": WHERE[0], "database": "shop", "collection": "orders"}
    with pytest.raises(ConfigError) as caught:
        ReadFromMongoDBChangeStream(**{**usual, **arguments})
    assert caught.value.path == path
    assert str(caught.value).startswith(f"{path}: ")


def test_without_a_database_the_whole_deployment_is_read() -> None:
    assert ReadFromMongoDBChangeStream(WHERE[0]).display_data()["streams"] == "main.deployment"


@pytest.mark.parametrize(
    ("path", "arguments"),
    [
        ("uri", {"uri": WHERE[0]}),
        ("collection", {"collection": "orders"}),
        ("options", {"options": {}}),
        ("source_name", {"source_name": "orders"}),
        ("connection_id", {"connection_id": "main"}),
        ("source", {"source": "main.users"}),
    ],
)
def test_what_a_configuration_says_is_not_said_twice(path: str, arguments: dict[str, Any]) -> None:
    assert ReadFromMongoDBChangeStream(config=CONFIG, source="main.orders")
    with pytest.raises(ConfigError) as caught:
        ReadFromMongoDBChangeStream(config=CONFIG, **arguments)
    assert caught.value.path == path
