"""`mongo-gcp-stream run`: starts the Rust core and waits for it."""

from __future__ import annotations

import signal
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from typing import TYPE_CHECKING

import click

from mongo_gcp_stream import Runner
from mongo_gcp_stream.cli.duration import Duration
from mongo_gcp_stream.cli.exit_codes import ExitCode, table
from mongo_gcp_stream.cli.show import show_failure, show_warning
from mongo_gcp_stream.cli.terminal import fits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mongo_gcp_stream import RunReport
    from mongo_gcp_stream.cli.live_table import StreamRow


@click.command(epilog=table())
@click.option(
    "--config",
    "config_path",
    required=True,
    metavar="PATH",
    help="Configuration in YAML. A .env file beside it is read first.",
)
@click.option(
    "--until-caught-up",
    is_flag=True,
    help="Publish everything that has happened up to now, then exit: for a cron job. On an idle "
    "server it may take 20 s until that is known.",
)
@click.option(
    "--timeout",
    "timeout_ms",
    type=Duration(),
    metavar="DURATION",
    help="With --until-caught-up: give up after this time, such as 30s or 5m.",
)
@click.option(
    "--accept-lane-change",
    is_flag=True,
    help="Go on from a checkpoint that was written with another `pubsub.ordering` or `lanes`. Stop "
    "with SIGTERM before the change, else events that come again may be out of order.",
)
@click.option(
    "--no-table",
    is_flag=True,
    help="Log line by line on a terminal too, statistics included.",
)
def run(
    config_path: str,
    *,
    until_caught_up: bool,
    timeout_ms: int | None,
    accept_lane_change: bool,
    no_table: bool,
) -> ExitCode:
    """Stream every source of a configuration to its topic, until stopped.

    \b
    Examples:
      mongo-gcp-stream run --config config.yaml
      mongo-gcp-stream run --config config.yaml --until-caught-up --timeout 5m

    \b
    A configuration that works:
      mongodb:
        connections:
          main:
            uri: ${MONGODB_URI}
            sources:
              orders: {database: shop, collection: orders}
      gcp: {project_id: my-project}
      pubsub:
        topics:
          default: {name: shop-changes}
      checkpoint: {store: file, path: ./state}

    Without a stored position a stream begins with the next change. SIGINT (Ctrl-C) and SIGTERM
    drain: what was read is published, positions are stored, and the next run goes on from there. A
    second signal exits at once.

    On a terminal a table shows rate, lag, events in flight, retries and state of each stream, those
    that need attention first, and log lines go above it. Elsewhere, and where `logging.format:
    json` would share the terminal with it, there are log lines alone, on standard error.
    """
    if timeout_ms is not None and not until_caught_up:
        raise click.UsageError("--timeout goes with --until-caught-up")
    runner = Runner(config_path)
    for warning in runner.warnings:
        show_warning(warning)
    with_table = fits(runner.log_format) and not no_table
    work = partial(
        runner.run,
        until_caught_up=until_caught_up,
        timeout_ms=timeout_ms,
        accept_lane_change=accept_lane_change,
        log_statistics=not with_table,
    )
    if with_table:
        report = run_with_table(work, runner.stop, runner.statistics)
    else:
        # The core handles it from here; Python's handler would never run while Rust blocks.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        report = work()
    for failure in report.failures:
        show_failure(failure)
    return ExitCode(report.exit_code)


def run_with_table(
    work: Callable[[], RunReport],
    stop: Callable[[], None],
    streams: Callable[[], Mapping[str, StreamRow]],
) -> RunReport:
    """Run in a thread, and show the table from this one, which signals interrupt."""
    # Not needed, and not loaded, where there is no terminal.
    from mongo_gcp_stream.cli.live_table import INTERVAL_SECONDS, LiveTable

    live = LiveTable(streams)

    def drain(*_: object) -> None:
        live.draining()
        # The core has begun to by itself, unless the signal came before it listened.
        stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, drain)
    with ThreadPoolExecutor(1, "run") as pool, live.shown():
        running: Future[RunReport] = pool.submit(work)
        while not wait([running], timeout=INTERVAL_SECONDS).done:
            live.refresh()
        live.refresh()
    return running.result()
