"""From options and a configuration to a pipeline: read, validate and enrich, write."""

from __future__ import annotations

import contextlib
import logging
import re
import sys
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apache_beam as beam
import yaml
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import (
    PipelineOptions,
    StandardOptions,
    WorkerOptions,
)
from apache_beam.transforms.window import FixedWindows

from mongo_gcp_stream.beam import resuming
from mongo_gcp_stream.beam.options import MongoDBToPubSubOptions
from mongo_gcp_stream.beam.read import ReadFromMongoDBChangeStream
from mongo_gcp_stream.beam.settings import Settings, check_topic, parts_of_topic
from mongo_gcp_stream.beam.transform import ValidateAndEnrich
from mongo_gcp_stream.beam.user_transforms import load_transforms
from mongo_gcp_stream.beam.write import WriteToPubSub
from mongo_gcp_stream.cli.duration import Duration
from mongo_gcp_stream.config import Config
from mongo_gcp_stream.errors import ConfigError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    from apache_beam.runners.runner import PipelineResult

    from mongo_gcp_stream.beam.read import Resume

_logger = logging.getLogger(__name__)

#: How the stream is called that is described by options alone.
_CONNECTION = "main"


def build_pipeline(
    options: PipelineOptions,
    config: str | os.PathLike[str] | Config | Mapping[str, Any] | None = None,
) -> beam.Pipeline:
    """The pipeline that reads every source of a configuration and publishes as it says.

    The transforms that the configuration names in `transforms` come between: each takes and gives
    `ChangeEvent`. With any of them Python sees every event, which costs most of the speed.

    Args:
        options: Beam's options, those of `MongoDBToPubSubOptions` among them, which go before the
            configuration.
        config: A file, a `Config`, or a mapping; `--config_file` by default. It may be missing
            where the options name connection, database and topic.

    Raises:
        ConfigError: What was given is wrong or not enough, at `path`; nothing is connected.
    """
    own = options.view_as(MongoDBToPubSubOptions)
    options.view_as(StandardOptions).streaming = _is_streaming(options)
    tree = configuration(options, config)
    transforms = load_transforms(tree.pop("transforms", None))
    # With the defaults that the guide tells.
    effective = Config.of(tree)
    _for_workers(options, effective["dataflow"])
    read = ReadFromMongoDBChangeStream(
        config=tree,
        resume=_resume(own, tree),
        end_at=_moment(own.end_at),
        batch_size=effective.get("streaming.batch_size"),
        output="events" if transforms else "batches",
    )
    pipeline = beam.Pipeline(options=options)
    # Its copy goes to the runner, and whoever may see the job reads it.
    pipeline.options.view_as(MongoDBToPubSubOptions).mongodb_uri = None
    changes = pipeline | read
    window = effective.get("streaming.window_size_seconds")
    if window is not None:
        seconds = Duration().convert(window, None, None) / 1000
        changes = changes | "Window" >> beam.WindowInto(FixedWindows(seconds))
    for label, transform in transforms:
        changes = changes | label >> transform
    if not transforms:
        changes = changes | ValidateAndEnrich(tree)
    elif read.resume and not resuming.shuffled(changes):
        # What shows a shuffle is told of by the sink; what they keep to themselves does not show.
        names = ", ".join(label for label, _ in transforms)
        resuming.warn(f"between read and sink are {names}, which may keep changes across bundles")
    # It validates and enriches what comes as an event.
    changes | WriteToPubSub(config=tree)
    return pipeline


def run_pipeline(argv: Sequence[str] | None = None) -> PipelineResult:
    """Build the pipeline that command-line options describe, and start it.

    Returns:
        Beam's result of the pipeline that runs: nothing has been waited for.

    Raises:
        ConfigError: What was given is wrong or not enough, at `path`.
    """
    return build_pipeline(PipelineOptions(argv)).run()


def main(argv: Sequence[str] | None = None) -> None:
    """Start the pipeline and end, as the launcher of a Flex Template wants it."""
    logging.getLogger().setLevel(logging.INFO)
    try:
        run_pipeline(argv)
    except ConfigError as error:
        sys.exit(f"error: {error}\nhint: {error.hint}")


def configuration(
    options: PipelineOptions,
    config: str | os.PathLike[str] | Config | Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The mapping that a configuration and the options that go before it come to.

    Args:
        options: As for `build_pipeline`.
        config: As for `build_pipeline`.

    Raises:
        ConfigError: A file cannot be read or is wrong, or an option is, at `path`.
    """
    own = options.view_as(MongoDBToPubSubOptions)
    if config is None and own.config_file:
        config = own.config_file
    tree = {} if config is None else _given(config)
    _set_source(tree, own)
    if own.schemas:
        tree["schemas"] = _mapping(own.schemas, "schemas")
    if own.output_topic:
        check_topic(own.output_topic, "output_topic")
        project, name = parts_of_topic(own.output_topic)
        tree["gcp"] = {**tree.get("gcp", {}), "project_id": project}
        topics = {**tree.get("pubsub", {}).get("topics", {}), "default": {"name": name}}
        tree["pubsub"] = {**tree.get("pubsub", {}), "topics": topics}
    if own.dead_letter_topic:
        check_topic(own.dead_letter_topic, "dead_letter_topic")
        project, name = parts_of_topic(own.dead_letter_topic)
        if project != tree.get("gcp", {}).get("project_id"):
            message = "dead_letter_topic: expected a topic of the project of the other topics"
            raise ConfigError(message, path="dead_letter_topic")
        _set_dead_letters(tree, name)
    if own.checkpoint:
        tree["checkpoint"] = _checkpoint(own.checkpoint)
    return tree


def _set_dead_letters(tree: dict[str, Any], name: str) -> None:
    """This topic takes dead letters, beside the file that may take them, too."""
    tree["error_handling"] = {**tree.get("error_handling", {}), "dead_letter_topic": name}
    # It would go before, and its topic is a key of `pubsub.topics`.
    others = {key: value for key, value in tree.pop("dead_letter", {}).items() if key != "topic"}
    if others:
        tree["dead_letter"] = others


def _given(config: str | os.PathLike[str] | Config | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(config, str) and config.startswith("gs://"):
        # The core reads files of this machine; the name ends up in its messages.
        with _transforms_count(), tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / Path(config).name
            path.write_bytes(_read(config, "config_file"))
            return Settings.given(path).tree()
    with _transforms_count():
        return Settings.given(config).tree()


@contextlib.contextmanager
def _transforms_count() -> Iterator[None]:
    """Here `transforms` have an effect: what warns of them elsewhere is not said."""

    def of_others(record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith("`transforms`")

    logger = logging.getLogger(Config.__module__)
    logger.addFilter(of_others)
    try:
        yield
    finally:
        logger.removeFilter(of_others)


def _set_source(tree: dict[str, Any], own: MongoDBToPubSubOptions) -> None:
    """Connection and collection of the options go before those of the configuration."""
    if not (own.mongodb_uri or own.database or own.collection):
        if "mongodb" not in tree:
            message = "config_file: missing: give it, or mongodb_uri, database and collection"
            raise ConfigError(message, path="config_file")
        return
    connections = tree.setdefault("mongodb", {}).setdefault("connections", {})
    if len(connections) > 1:
        message = "mongodb_uri: the configuration has several connections; set it there"
        raise ConfigError(message, path="mongodb_uri")
    name = next(iter(connections), _CONNECTION)
    connection = connections.setdefault(name, {"sources": {}})
    if own.mongodb_uri:
        connection["uri"] = own.mongodb_uri
    if "uri" not in connection:
        raise ConfigError("mongodb_uri: missing", path="mongodb_uri")
    described = {"database": own.database, "collection": own.collection}
    given = {key: value for key, value in described.items() if value}
    if given:
        _set_capture(connection.setdefault("sources", {}), given)


def _set_capture(sources: dict[str, Any], given: dict[str, str]) -> None:
    """Database and collection of the only source, which keeps its name and whatever else it has."""
    if len(sources) > 1:
        option = next(iter(given))
        message = f"{option}: the configuration has several sources; set it there"
        raise ConfigError(message, path=option)
    name = next(iter(sources), given.get("collection", given.get("database", "")))
    sources[name] = {**(sources.get(name) or {}), **given}


def _checkpoint(place: str) -> dict[str, str]:
    """`gs://BUCKET/PREFIX`, or a folder of this machine."""
    if not place.startswith("gs://"):
        return {"store": "file", "path": place}
    bucket, _, prefix = place.removeprefix("gs://").partition("/")
    # A folder: its name ends where that of an object in it begins.
    folder = {"prefix": f"{prefix.strip('/')}/"} if prefix.strip("/") else {}
    return {"store": "gcs", "bucket": bucket, **folder}


def _resume(own: MongoDBToPubSubOptions, tree: Mapping[str, Any]) -> Resume | None:
    """What is made of the checkpoint of the option, or of the file where `--resume` asks for it."""
    resume: Resume | None = own.resume
    if own.checkpoint:
        return resume or "RESUME_OR_NEW"
    if resume is None or "checkpoint" in tree:
        return resume
    if resume == "RESUME_OR_NEW":
        # The template says so by itself.
        _logger.info("resume: there is no checkpoint; each pipeline begins at `startup`")
        return None
    message = f"resume: {resume} needs a checkpoint: give it, too"
    raise ConfigError(message, path="resume")


def _mapping(path: str, option: str) -> dict[str, Any]:
    try:
        read = yaml.safe_load(_read(path, option))
    except yaml.YAMLError as error:
        message = f"{option}: {path} is no YAML"
        raise ConfigError(message, path=option) from error
    if not isinstance(read, Mapping):
        message = f"{option}: {path} has to hold a mapping of streams"
        raise ConfigError(message, path=option)
    return dict(read)


def _read(path: str, option: str) -> bytes:
    try:
        with contextlib.closing(FileSystems.open(path)) as file:
            text: bytes = file.read()
    except (OSError, ValueError) as error:
        # Without the extra `gcp` Beam knows no `gs://`, and says it by a ValueError.
        raise ConfigError(f"{option}: {path} cannot be read: {error}", path=option) from error
    return text


def _moment(text: str | None) -> datetime | None:
    """RFC 3339, as the template takes it."""
    if text is None:
        return None
    # All of a second is read, whatever part of it is meant; Python 3.10 cannot read every fraction.
    whole = re.sub(r"\.\d+", "", text.upper()).replace("Z", "+00:00")
    try:
        return datetime.fromisoformat(whole)
    except ValueError as error:
        message = "end_at: expected a time in RFC 3339, such as 2026-01-31T12:00:00Z"
        raise ConfigError(message, path="end_at") from error


def _is_streaming(options: PipelineOptions) -> bool:
    """Whether it has no end; on Dataflow in any case, whose template is one of a streaming job."""
    return options.view_as(MongoDBToPubSubOptions).end_at is None or _on_dataflow(options)


def _on_dataflow(options: PipelineOptions) -> bool:
    return "Dataflow" in str(options.view_as(StandardOptions).runner)


def _for_workers(options: PipelineOptions, dataflow: Mapping[str, Any]) -> None:
    """What the section `dataflow` says and no option does; other runners know none of it."""
    if not _on_dataflow(options):
        return
    workers = options.view_as(WorkerOptions)
    workers.machine_type = workers.machine_type or dataflow["machine_type"]
    workers.num_workers = workers.num_workers or dataflow["num_workers"]
    # More to begin with, on the command line, are also more at the most.
    most = max(dataflow["max_num_workers"], workers.num_workers)
    workers.max_num_workers = workers.max_num_workers or most
    autoscaling = dataflow["autoscaling"].upper()
    workers.autoscaling_algorithm = workers.autoscaling_algorithm or autoscaling
