"""`mongo-gcp-stream run`: starts the Rust core and waits for it."""

from __future__ import annotations

import signal

import click

from mongo_gcp_stream import Runner
from mongo_gcp_stream.cli.duration import Duration
from mongo_gcp_stream.cli.exit_codes import ExitCode, table
from mongo_gcp_stream.cli.show import show_error, show_warning


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
    help="Publish everything that has happened up to now, then exit: for a cron job.",
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
def run(
    config_path: str, *, until_caught_up: bool, timeout_ms: int | None, accept_lane_change: bool
) -> ExitCode:
    r"""Stream every source of a configuration to its topic, until stopped.

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
    """
    if timeout_ms is not None and not until_caught_up:
        raise click.UsageError("--timeout goes with --until-caught-up")
    runner = Runner(config_path)
    for warning in runner.warnings:
        show_warning(warning)
    # The core handles it from here; Python's handler would never run while Rust blocks.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    report = runner.run(
        until_caught_up=until_caught_up,
        timeout_ms=timeout_ms,
        accept_lane_change=accept_lane_change,
    )
    for failure in report.failures:
        show_error(f"{failure.stream}: {failure.message}", failure.hint)
    return ExitCode(report.exit_code)
