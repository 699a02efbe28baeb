"""The Flink of the tests: unbounded pipelines run on it with checkpoints, and lose workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import apache_beam as beam
import pytest
from apache_beam.transforms.window import FixedWindows

from tests.beam.ticker import Ticker
from tests.support import flink_server
from tests.support.beam_runner import running
from tests.support.flink_server import FlinkServer, why_not
from tests.support.recorder import FileRecorder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ELEMENTS = 10


class Record(beam.DoFn):
    """Tells with what a window fired."""

    def __init__(self, recorder: FileRecorder) -> None:
        self._recorder = recorder

    def process(self, element: tuple[str, Any]) -> None:
        self._recorder.add(sorted(element[1]))


@pytest.fixture
def flink() -> Iterator[FlinkServer]:
    if why_not():
        pytest.skip(why_not())
    with FlinkServer() as server:
        yield server


def windows(options: Any, recorder: FileRecorder, finalized: FileRecorder) -> beam.Pipeline:
    """Counts; what came in two seconds is told when their window fires."""
    pipeline = beam.Pipeline(options=options)
    (
        pipeline
        | beam.Create(["clock"])
        | beam.ParDo(Ticker(ELEMENTS, finalized))
        | beam.WindowInto(FixedWindows(2))
        | beam.WithKeys("all")
        | beam.GroupByKey()
        | beam.ParDo(Record(recorder))
    )
    return pipeline


@pytest.mark.heavy
@pytest.mark.timeout(400)  # it assembles the job server where `make` has not
def test_it_goes_on_from_a_checkpoint_when_a_worker_is_lost(
    flink: FlinkServer, tmp_path: Path
) -> None:
    recorder = FileRecorder(tmp_path / "windows")
    finalized = FileRecorder(tmp_path / "finalized")
    with running(windows(flink.options(), recorder, finalized)) as pipeline:
        # Bundles are finalized when a checkpoint that they are part of is complete.
        pipeline.eventually(lambda: max(finalized.events(), default=0) >= 3, "a checkpoint")
        before = finalized.events()
        killed = flink.workers.kill_workers()
        pipeline.eventually(lambda: set(flink.workers.workers()) - set(killed), "another worker")
        pipeline.eventually(lambda: [8, 9] in recorder.events(), "the last window fires")
        pipeline.eventually(lambda: max(finalized.events()) > ELEMENTS, "another checkpoint")
    assert killed
    assert min(finalized.events()[len(before) :]) > max(before), "what was committed came again"
    # A window that fired since the checkpoint fires again.
    fired = {tuple(window) for window in recorder.events()}
    assert fired == {(first, first + 1) for first in range(0, ELEMENTS, 2)}


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert why_not() == "Flink 1.19 runs on Java 17, and on PATH is none"
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\necho 'openjdk version \"21.0.2\" 2024-01-16' >&2\n")
    java.chmod(0o755)
    assert why_not() == "Flink 1.19 runs on Java 17, and on PATH is Java 21"
    monkeypatch.setattr(flink_server, "POM", tmp_path / "java")
    java.write_text(java.read_text().replace("21", "17"))
    assert why_not() == "Maven assembles the Flink job server, and there is no `mvn` on PATH"
