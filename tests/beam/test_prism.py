"""The Prism of the tests: unbounded pipelines run on it, and are cancelled cleanly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import apache_beam as beam
import pytest
from apache_beam.transforms.window import FixedWindows

from tests.beam.ticker import Ticker
from tests.support.beam_runner import prism_runner_options, running
from tests.support.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.beam_runner import PrismServer

ELEMENTS = 3


class Record(beam.DoFn):
    """Tells which windows fired, and with what."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def process(self, element: tuple[str, Any], window: Any = beam.DoFn.WindowParam) -> None:
        self._recorder.add((float(window.start), sorted(element[1])))


class Fail(beam.DoFn):
    """Fails at the first element."""

    def process(self, element: int) -> Iterator[int]:
        raise LookupError(f"no such thing as {element}")


def windows(options: Any, recorder: Recorder, finalized: Recorder | None = None) -> beam.Pipeline:
    """Seconds in windows of one: the last can only fire while nothing comes any more."""
    pipeline = beam.Pipeline(options=options)
    (
        pipeline
        | beam.Create(["clock"])
        | beam.ParDo(Ticker(ELEMENTS, finalized))
        | beam.WindowInto(FixedWindows(1))
        | beam.WithKeys("all")
        | beam.GroupByKey()
        | beam.ParDo(Record(recorder))
    )
    return pipeline


def test_windows_fire_while_nothing_comes(prism: PrismServer, recorder: Recorder) -> None:
    finalized = Recorder()
    with running(windows(prism.options(), recorder, finalized)) as pipeline:
        pipeline.eventually(lambda: len(recorder.events()) == ELEMENTS, "every window fires")
        pipeline.eventually(lambda: len(finalized.events()) > ELEMENTS, "bundles are finalized")
    assert sorted(recorder.events()) == [(float(second), [second]) for second in range(ELEMENTS)]
    assert finalized.events() == list(range(len(finalized.events())))


def test_the_runner_of_beam_starts_the_same_prism(recorder: Recorder) -> None:
    with running(windows(prism_runner_options(), recorder)) as pipeline:
        pipeline.eventually(lambda: len(recorder.events()) == ELEMENTS, "every window fires")
    assert pipeline.result.state == "CANCELLED"


def test_a_pipeline_that_fails_ends_the_wait_with_its_reason(prism: PrismServer) -> None:
    pipeline = beam.Pipeline(options=prism.options())
    pipeline | beam.Create(["clock"]) | beam.ParDo(Ticker(1)) | beam.ParDo(Fail())
    with pytest.raises(RuntimeError, match="no such thing as 0"), running(pipeline) as started:
        started.eventually(lambda: False, "something that does not happen")


def test_several_pipelines_run_at_the_same_time(prism: PrismServer) -> None:
    one, other = Recorder(), Recorder()
    with (
        running(windows(prism.options(), one)) as first,
        running(windows(prism.options(), other)) as second,
    ):
        first.eventually(lambda: len(one.events()) == ELEMENTS, "every window fires")
        second.eventually(lambda: len(other.events()) == ELEMENTS, "those of the other, too")


def test_a_bounded_pipeline_ends_by_itself(prism: PrismServer, recorder: Recorder) -> None:
    pipeline = beam.Pipeline(options=prism.options())
    (
        pipeline
        | beam.Create([("all", 1), ("all", 2)])
        | beam.GroupByKey()
        | beam.ParDo(Record(recorder))
    )
    with running(pipeline) as started:
        started.wait()
    assert [values for _, values in recorder.events()] == [[1, 2]]
