"""A warning where a position may be stored before what it stands for is published."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import apache_beam as beam
import pytest
from apache_beam.io.restriction_trackers import OffsetRange
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.window import FixedWindows
from mongo_gcp_stream.beam import ReadFromMongoDBChangeStream, ValidateAndEnrich, WriteToPubSub
from mongo_gcp_stream.beam.pipeline import build_pipeline

from tests.beam import test_user_transforms
from tests.support.steps import LETTERS, TOPIC

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.line import Line

DRAIN = "drain the old pipeline before a new one"


class Shuffle(beam.PTransform):
    """A user's transform that shuffles, and shows it."""

    def expand(self, pcoll: beam.PCollection) -> beam.PCollection:
        return pcoll | beam.Reshuffle()


class Keeps(beam.DoFn):
    """Has state."""

    STATE = beam.transforms.userstate.BagStateSpec("kept", beam.coders.BytesCoder())

    def process(self, element: Any, kept: Any = beam.DoFn.StateParam(STATE)) -> Any:
        kept.add(b"")
        yield element[1]


class Parts(beam.RestrictionProvider):
    """What can be split."""

    def initial_restriction(self, element: Any) -> OffsetRange:  # noqa: ARG002
        return OffsetRange(0, 1)

    def create_tracker(self, restriction: OffsetRange) -> Any:
        return restriction.new_tracker()

    def restriction_size(self, element: Any, restriction: OffsetRange) -> int:  # noqa: ARG002
        return 1


class InParts(beam.DoFn):
    """Takes an element apart."""

    def process(self, element: Any, tracker: Any = beam.DoFn.RestrictionParam(Parts())) -> Any:
        if tracker.try_claim(0):
            yield element


class BesideItself(beam.PTransform):
    """Has a side input made of what is read."""

    def expand(self, pcoll: beam.PCollection) -> beam.PCollection:
        counted = pcoll | beam.WindowInto(FixedWindows(1)) | "Count" >> beam.Map(len)
        beside = beam.pvalue.AsIter(counted)
        return pcoll | "Beside" >> beam.Map(lambda batch, _: batch, beside)


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """The warnings of the package so far."""

    def messages() -> list[str]:
        return [
            record.getMessage()
            for record in caplog.records
            if record.levelno >= logging.WARNING and record.name.endswith(".beam.resuming")
        ]

    return messages


def changes(folder: Path, resume: Any = "RESUME_OR_NEW") -> beam.PCollection:
    checkpoint = {"store": "file", "path": str(folder)} if resume else None
    read = ReadFromMongoDBChangeStream(
        "mongodb://app:canary@localhost/?replicaSet=rs0",
        "shop",
        "orders",
        resume=resume,
        checkpoint=checkpoint,
    )
    pipeline = beam.Pipeline(options=PipelineOptions(["--runner=PrismRunner"]))
    return pipeline | "Orders" >> read


BETWEEN = {
    "reshuffle": beam.Reshuffle(),
    "what can be split": beam.ParDo(InParts()),
    "a side input": BesideItself(),
    "state": "Key" >> beam.Map(lambda batch: (b"", batch)) | beam.ParDo(Keeps()),
}


def test_what_is_ordered_is_told(tmp_path: Path, told: Callable[[], list[str]]) -> None:
    there = changes(tmp_path) | ValidateAndEnrich()
    there | "Out" >> WriteToPubSub(TOPIC, ordered=True)
    (message,) = told()
    assert "Out publishes what Orders has read by `ordered=True`" in message
    assert DRAIN in message
    assert "canary" not in message


@pytest.mark.parametrize("between", BETWEEN)
def test_a_shuffle_on_the_way_is_told(
    tmp_path: Path, told: Callable[[], list[str]], between: str
) -> None:
    there = changes(tmp_path) | BETWEEN[between]
    written = there | WriteToPubSub(TOPIC).with_dead_letter()
    written.dead_letters | "Letters" >> WriteToPubSub(LETTERS)
    assert [text.split(":")[1] for text in told()] == [
        f" {step} publishes what Orders has read behind what is not fused with it"
        for step in ("WriteToPubSub", "Letters")
    ]


def test_a_fused_sink_is_not_told(tmp_path: Path, told: Callable[[], list[str]]) -> None:
    there = changes(tmp_path) | beam.Map(lambda batch: batch)
    there | ValidateAndEnrich(dead_letter=LETTERS) | WriteToPubSub(TOPIC, dead_letter=LETTERS)
    assert told() == []


def test_what_several_streams_begin_with_is_not_between(
    tmp_path: Path, told: Callable[[], list[str]]
) -> None:
    sources = {name: {"database": "shop", "collection": name} for name in ("orders", "users")}
    config = {
        "mongodb": {"connections": {"main": {"uri": "mongodb://localhost", "sources": sources}}},
        "checkpoint": {"store": "file", "path": str(tmp_path)},
    }
    read = ReadFromMongoDBChangeStream(config=config, resume="RESUME_OR_NEW")
    pipeline = beam.Pipeline(options=PipelineOptions(["--runner=PrismRunner"]))
    pipeline | read | WriteToPubSub(TOPIC)
    assert told() == []


def test_what_is_not_resumed_is_not_told(tmp_path: Path, told: Callable[[], list[str]]) -> None:
    changes(tmp_path, resume=None) | WriteToPubSub(TOPIC, ordered=True)
    assert told() == []


def test_of_several_reads_each_that_is_resumed_is_told(
    tmp_path: Path, told: Callable[[], list[str]]
) -> None:
    there = changes(tmp_path)
    plain = ReadFromMongoDBChangeStream("mongodb://localhost", "shop", "users")
    users = there.pipeline | "Users" >> plain
    (there, users) | beam.Flatten() | WriteToPubSub(TOPIC, ordered=True)
    (message,) = told()
    assert "what Orders has read" in message


@pytest.mark.parametrize(
    ("transform", "warning"),
    [
        (test_user_transforms.described(), "between read and sink are 1 Mark"),
        ({"name": "Shuffle", "module": __name__}, "WriteToPubSub publishes what"),
    ],
)
@pytest.mark.parametrize("resume", [["--resume=RESUME_OR_NEW"], []])
def test_transforms_of_a_configuration_are_told_once(
    line: Line,
    told: Callable[[], list[str]],
    transform: dict[str, Any],
    warning: str,
    resume: list[str],
) -> None:
    line.configure(transforms=test_user_transforms.section(transform))
    build_pipeline(PipelineOptions(["--runner=PrismRunner", *resume]), line.config)
    assert len(told()) == len(resume)
    assert all(warning in message and DRAIN in message for message in told())
