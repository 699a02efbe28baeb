"""A warning where a position may be stored before what it stands for is published."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
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
        f" {step} publishes what Orders has read behind a shuffle"
        for step in ("WriteToPubSub", "Letters")
    ]


def test_a_fused_sink_is_not_told(tmp_path: Path, told: Callable[[], list[str]]) -> None:
    there = changes(tmp_path) | beam.Map(lambda batch: batch)
    there | ValidateAndEnrich(dead_letter=LETTERS) | WriteToPubSub(TOPIC, dead_letter=LETTERS)
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
