"""`mongo-gcp-stream setup`: makes sure of topics and subscriptions."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import click

from mongo_gcp_stream import _core
from mongo_gcp_stream.cli.duration import Duration
from mongo_gcp_stream.cli.exit_codes import ExitCode, table

if TYPE_CHECKING:
    from mongo_gcp_stream._core import Step

_COLORS = {
    "created": "green",
    "updated": "green",
    "unchanged": "white",
    "note": "cyan",
    "conflict": "red",
    "failed": "red",
}


@click.command(
    epilog=table(
        {
            ExitCode.CLEAN: "everything is as configured",
            ExitCode.FAILED: "something could not be made, or differs in what cannot be changed",
            ExitCode.USAGE: "bad configuration or usage; nothing was done",
        }
    )
)
@click.option(
    "--config",
    "config_path",
    required=True,
    metavar="PATH",
    help="Configuration in YAML. A .env file beside it is read first.",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Connect to nothing and print the gcloud commands that make everything.",
)
@click.option(
    "--timeout",
    "timeout_ms",
    type=Duration(),
    default="30s",
    show_default=True,
    metavar="DURATION",
    help="What is not done by then has failed.",
)
def setup(config_path: str, *, dry_run: bool, timeout_ms: int) -> ExitCode:
    """Create the topics and subscriptions of a configuration; a second time does nothing.

    \b
    A topic with a subscription:
      pubsub:
        topics:
          default:
            name: shop-changes
            subscriptions:
              shop-worker: {ack_deadline: 60s, retention: 168h}

    \b
    Examples:
      mongo-gcp-stream setup --config config.yaml --dry-run
      mongo-gcp-stream setup --config config.yaml

    A subscription that exists gets the settings that the configuration names; what it does not
    name is left alone, and nothing is ever deleted. Message ordering is fixed when a subscription
    is created: where it differs, the commands that recreate it are printed.
    """
    # Python's handler would not run while Rust blocks.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    steps = _core.setup(config_path, dry_run=dry_run, timeout_ms=timeout_ms)
    if dry_run:
        for step in steps:
            # As comments, so that the output is a script.
            note = f"# {step.what}\n" if step.what else ""
            click.echo(f"{note}{step.command}")
        return ExitCode.CLEAN
    for step in steps:
        _show(step)
    if all(step.action == "unchanged" for step in steps):
        click.echo("\nnothing to do")
    failed = any(step.action in {"conflict", "failed"} for step in steps)
    return ExitCode.FAILED if failed else ExitCode.CLEAN


def _show(step: Step) -> None:
    action = click.style(f"{step.action:9}", fg=_COLORS[step.action])
    click.echo(f"{action}  {step.resource}{': ' if step.what else ''}{step.what}")
    # What was done needs no command any more.
    if step.command and step.action in {"note", "conflict", "failed"}:
        click.echo(f"           {click.style('fix', fg='cyan')}: {step.command}")
