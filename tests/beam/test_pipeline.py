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
from apache_beam.pipeline import PipelineVisitor
from apache_beam.transforms.window import FixedWindows
from mongo_gcp_stream.beam import pipeline as pipeline_module
from mongo_gcp_stream.beam.options import MongoDBToPubSubOptions
from mongo_gcp_stream.beam.pipeline import build_pipeline, configuration
from mongo_gcp_stream.beam.settings import Settings
from mongo_gcp_stream.config import Config, load_config
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
    return configuration(PipelineOptions(list(arguments)), config)


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
        "error_handling": {"dead_letter_topic": "refused"},
        "checkpoint": {"store": "gcs", "bucket": "bucket", "prefix": "positions/"},
    }
    assert Config.of(tree)


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
        options, load_config(line.config)["dataflow"]
    )
    workers = options.view_as(WorkerOptions)
    assert (workers.machine_type, workers.max_num_workers) == ("n1-standard-4", 5)


@pytest.mark.parametrize(("runner", "streaming"), [("Prism", False), ("Dataflow", True)])
def test_a_replay_is_a_batch_job_but_on_dataflow(runner: str, streaming: bool) -> None:
    """The template promises a streaming job."""
    options = PipelineOptions([f"--runner={runner}Runner", "--end_at=2026-01-31T12:00:00Z"])
    assert pipeline_module._is_streaming(options) is streaming  # noqa: SLF001 -- as above


def test_more_workers_to_begin_with_are_more_at_the_most() -> None:
    options = PipelineOptions(["--runner=DataflowRunner", "--num_workers=4"])
    section = {"machine_type": "n1-standard-1", "num_workers": 1, "max_num_workers": 1}
    dataflow = {**section, "autoscaling": "throughput_based"}
    pipeline_module._for_workers(options, dataflow)  # noqa: SLF001 -- as above
    workers = options.view_as(WorkerOptions)
    assert (workers.num_workers, workers.max_num_workers) == (4, 4)
    assert workers.autoscaling_algorithm == "THROUGHPUT_BASED"


def test_a_variable_is_put_in_once(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it holds may look like another one."""
    monkeypatch.setenv("PASSWORD", "a${b}c$$d")
    line.configure(uri="mongodb://app:${PASSWORD}@localhost/?replicaSet=rs0")
    options = PipelineOptions(["--runner=PrismRunner"])
    tree = configuration(options, configuration(options, line.config))
    built = json.loads(Settings.of(tree).resolved())
    uri = built["mongodb"]["connections"]["main"]["uri"]
    assert uri == "mongodb://app:a${b}c$$d@localhost/?replicaSet=rs0"


def test_the_only_source_keeps_what_the_options_do_not_say(line: Line) -> None:
    line.configure(source={"pipeline": [{"$match": {"operationType": "insert"}}]})
    tree = configured(f"--config_file={line.config}", "--database=other")
    (sources,) = [at["sources"] for at in tree["mongodb"]["connections"].values()]
    assert sources["orders"]["database"] == "other"
    assert sources["orders"]["collection"] == "orders"
    assert sources["orders"]["pipeline"]


def test_an_option_for_one_source_is_none_for_several(line: Line) -> None:
    config = json.loads(line.config.read_text())
    sources = config["mongodb"]["connections"]["main"]["sources"]
    sources["users"] = {"database": "shop", "collection": "users"}
    with pytest.raises(ConfigError, match="several sources") as caught:
        configured("--collection=orders", config=config)
    assert caught.value.path == "collection"


def test_dead_letters_of_the_options_take_the_place_of_those_of_the_file(line: Line) -> None:
    line.configure(
        pubsub={"topics": {"default": {"name": "shop"}, "refused": {"name": "refused"}}},
        dead_letter={"topic": "refused", "file": {"path": "letters.jsonl"}},
    )
    topic = "--dead_letter_topic=projects/test/topics/elsewhere"
    tree = configured(f"--config_file={line.config}", topic)
    assert tree["dead_letter"] == {"file": {"path": "letters.jsonl"}}
    assert tree["error_handling"]["dead_letter_topic"] == "elsewhere"


ELSEWHERE = "--checkpoint=gs://bucket/positions"


@pytest.mark.parametrize(
    ("arguments", "of_file", "resume", "store"),
    [
        ([], None, None, None),
        ([ELSEWHERE], None, "RESUME_OR_NEW", "gcs"),
        ([ELSEWHERE, "--resume=RESUME_OR_FAIL"], None, "RESUME_OR_FAIL", "gcs"),
        # What the template says by itself where no checkpoint is named.
        (["--resume=RESUME_OR_NEW"], None, None, None),
        # That of the file is for `run`, unless it is asked for.
        ([], "file", None, "file"),
        (["--resume=RESUME_OR_NEW"], "file", "RESUME_OR_NEW", "file"),
        (["--resume=FAIL_IF_EXISTS"], "file", "FAIL_IF_EXISTS", "file"),
        ([ELSEWHERE], "file", "RESUME_OR_NEW", "gcs"),
        ([ELSEWHERE, "--resume=RESUME_OR_FAIL"], "file", "RESUME_OR_FAIL", "gcs"),
    ],
)
def test_what_is_made_of_a_checkpoint(
    arguments: list[str], of_file: str | None, resume: str | None, store: str | None
) -> None:
    options = PipelineOptions([f"--mongodb_uri={URI}", "--database=shop", *arguments])
    sources = {"orders": {"database": "shop", "collection": "orders"}}
    config: dict[str, Any] = {
        "mongodb": {"connections": {"main": {"uri": URI, "sources": sources}}},
        **({"checkpoint": {"store": of_file, "path": "positions"}} if of_file else {}),
    }
    own, tree = options.view_as(MongoDBToPubSubOptions), configuration(options, config)
    assert pipeline_module._resume(own, tree) == resume  # noqa: SLF001 -- what is read with
    assert tree.get("checkpoint", {}).get("store") == store


@pytest.mark.parametrize(("size", "seconds"), [("90s", 90), (1.5, 1.5), ("2m", 120), (30, 30)])
def test_a_window_is_as_long_as_the_configuration_says(
    line: Line, size: str | float, seconds: float
) -> None:
    line.configure(streaming={"window_size_seconds": size})
    pipeline = build_pipeline(PipelineOptions(["--runner=PrismRunner"]), line.config)
    sizes: set[float] = set()

    class Look(PipelineVisitor):
        def visit_transform(self, transform_node: Any) -> None:
            windows = getattr(transform_node.transform, "windowing", None)
            if windows and isinstance(windows.windowfn, FixedWindows):
                sizes.add(float(windows.windowfn.size))

    pipeline.visit(Look())
    assert sizes == {seconds}


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ([], "config_file"),
        (["--database=shop"], "mongodb_uri"),
        ([f"--mongodb_uri={URI}"], "mongodb.connections.main.sources"),
        ([f"--mongodb_uri={URI}", "--collection=orders", "--output_topic=shop"], "output_topic"),
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
        (
            [
                f"--mongodb_uri={URI}",
                "--database=shop",
                f"--output_topic={TOPIC}",
                "--resume=RESUME_OR_FAIL",
            ],
            "resume",
        ),
    ],
)
def test_wrong_options_are_named(arguments: list[str], path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_pipeline(PipelineOptions(["--runner=PrismRunner", *arguments]))
    assert caught.value.path == path


@pytest.mark.parametrize(
    "text",
    ["2026-01-31T12:00:00Z", "2026-01-31t12:00:00.123456789z", "2026-01-31T14:00:00.5+02:00"],
)
def test_the_end_of_a_replay_is_a_moment(text: str) -> None:
    """Of a second all is read."""
    moment = pipeline_module._moment(text)  # noqa: SLF001 -- what is read
    assert moment == datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
