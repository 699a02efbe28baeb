"""From a configuration and options to a pipeline that runs."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest
from apache_beam.options.pipeline_options import (
    PipelineOptions,
    StandardOptions,
    WorkerOptions,
)
from mongo_gcp_stream.beam import pipeline as pipeline_module
from mongo_gcp_stream.beam.options import MongoDBToPubSubOptions
from mongo_gcp_stream.beam.pipeline import build_pipeline
from mongo_gcp_stream.errors import ConfigError

from tests.support.beam_runner import running

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.beam_runner import PrismServer
    from tests.support.line import Line

URI = "mongodb://localhost:27017/?replicaSet=rs0"
TOPIC = "projects/mine/topics/shop-changes"


def configured(*arguments: str, config: dict[str, Any] | None = None) -> dict[str, Any]:
    """The configuration that options lead to."""
    own = PipelineOptions(list(arguments)).view_as(MongoDBToPubSubOptions)
    return pipeline_module._configuration(own, config)  # noqa: SLF001 -- what is put together


def test_a_configuration_file_alone_is_a_pipeline(
    line: Line, prism: PrismServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", line.pubsub.grpc_address)
    options = prism.options(f"--config_file={line.config}", "--resume=RESUME_OR_NEW")
    orders = line.orders()
    with running(build_pipeline(options)) as pipeline:
        pipeline.eventually(line.checkpoint.exists, "the opening position stored")
        orders.write(200)
        line.pubsub.wait(distinct_event_ids=orders.written)
    line.assert_delivered(orders)


def test_options_alone_are_a_configuration() -> None:
    tree = configured(
        f"--mongodb_uri={URI}",
        "--database=shop",
        "--collection=orders",
        f"--output_topic={TOPIC}",
        "--dead_letter_topic=projects/mine/topics/refused",
        "--checkpoint=gs://bucket/positions/",
    )
    source = {"database": "shop", "collection": "orders"}
    assert tree == {
        "mongodb": {"connections": {"main": {"uri": URI, "sources": {"orders": source}}}},
        "gcp": {"project_id": "mine"},
        "pubsub": {"topics": {"default": {"name": "shop-changes"}}},
        "dead_letter": {"topic": "refused"},
        "checkpoint": {"store": "gcs", "bucket": "bucket", "prefix": "positions"},
    }


def test_options_go_before_the_configuration(line: Line, tmp_path: Path) -> None:
    schemas = tmp_path / "schemas.yaml"
    schemas.write_text("main.orders:\n  revision: {type: number}\n")
    before = json.loads(line.config.read_text())
    tree = configured(
        f"--config_file={line.config}",
        f"--mongodb_uri={URI}",
        f"--output_topic={TOPIC}",
        f"--schemas={schemas}",
    )
    connection = tree["mongodb"]["connections"]["main"]
    assert connection["uri"] == URI
    assert connection["sources"] == before["mongodb"]["connections"]["main"]["sources"]
    assert tree["pubsub"]["topics"]["default"] == {"name": "shop-changes"}
    assert tree["schemas"] == {"main.orders": {"revision": {"type": "number"}}}
    assert tree["checkpoint"] == before["checkpoint"]


def test_what_the_configuration_says_of_workers_is_for_dataflow_alone(line: Line) -> None:
    line.configure(
        dataflow={"machine_type": "n1-standard-4", "max_num_workers": 3},
        streaming={"batch_size": 500, "window_size_seconds": 10},
    )
    arguments = [f"--config_file={line.config}", "--max_num_workers=5"]
    options = PipelineOptions(["--runner=PrismRunner", *arguments])
    build_pipeline(options)
    assert options.view_as(StandardOptions).streaming
    assert options.view_as(WorkerOptions).machine_type is None
    options = PipelineOptions(["--runner=DataflowRunner", *arguments])
    pipeline_module._for_workers(  # noqa: SLF001 -- building asks the cloud for its defaults
        options, json.loads(line.config.read_text())["dataflow"]
    )
    workers = options.view_as(WorkerOptions)
    assert (workers.machine_type, workers.max_num_workers) == ("n1-standard-4", 5)


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ([], "config_file"),
        (["--database=shop"], "mongodb_uri"),
        ([f"--mongodb_uri={URI}"], "mongodb.connections.main.sources"),
        ([f"--mongodb_uri={URI}", "--collection=orders", "--output_topic=shop"], "topic"),
        (["--config_file=/nowhere.yaml"], "/nowhere.yaml"),
        (
            [
                f"--mongodb_uri={URI}",
                "--database=shop",
                f"--output_topic={TOPIC}",
                "--end_at=yesterday",
            ],
            "end_at",
        ),
        (
            [
                f"--mongodb_uri={URI}",
                "--database=shop",
                f"--output_topic={TOPIC}",
                "--dead_letter_topic=projects/other/topics/refused",
            ],
            "dead_letter_topic",
        ),
        ([f"--mongodb_uri={URI}", "--database=shop", "--schemas=/nowhere.yaml"], "schemas"),
    ],
)
def test_wrong_options_are_named(arguments: list[str], path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_pipeline(PipelineOptions(["--runner=PrismRunner", *arguments]))
    assert caught.value.path == path


def test_the_end_of_a_replay_is_a_moment() -> None:
    moment = pipeline_module._moment("2026-01-31T12:00:00Z")  # noqa: SLF001 -- what is read
    assert moment == datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
