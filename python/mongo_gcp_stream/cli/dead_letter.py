"""`mongo-gcp-stream dead-letter`: look at dead letters, deliver them after all."""

from __future__ import annotations

import json
import signal
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from mongo_gcp_stream._core import dead_letter_list, dead_letter_redrive
from mongo_gcp_stream.cli.duration import Duration
from mongo_gcp_stream.cli.exit_codes import ExitCode, table
from mongo_gcp_stream.cli.show import show_error, show_warning
from mongo_gcp_stream.errors import ConfigError, MongoGcpStreamError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mongo_gcp_stream._core import DeadLetter

_FIELDS = ("stream", "time", "event_id", "namespace", "operation", "stage", "reason")
_COLUMNS = ("stream", "time", "event_id", "stage", "reason")

_SELECTION = (
    click.option(
        "--config",
        "config_path",
        required=True,
        metavar="PATH",
        help="The same configuration that `run` reads.",
    ),
    click.option(
        "--file", metavar="PATH", help="A file; by default `dead_letter.file` of the configuration."
    ),
    click.option(
        "--subscription", metavar="NAME", help="A subscription to the topic, instead of a file."
    ),
    click.option("--stream", metavar="NAME", help="Only those of this stream."),
    click.option("--event-id", metavar="ID", help="Only that of this event."),
    click.option(
        "--limit",
        type=click.IntRange(min=1),
        default=100,
        show_default=True,
        metavar="N",
        help="No more than this, the oldest first.",
    ),
    click.option("--json", "as_json", is_flag=True, help="A JSON object a line, for programs."),
)


def _command(run: Callable[..., ExitCode]) -> Callable[..., ExitCode]:
    """Add the options that both commands have, and tell what went wrong by the exit code."""

    @wraps(run)
    def wrapped(*args: Any, **kwargs: Any) -> ExitCode:  # noqa: ANN401 - whatever click gives
        if kwargs["file"] and kwargs["subscription"]:
            raise click.UsageError("--file and --subscription exclude each other")
        # Python's own handler would never run while Rust blocks.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        try:
            return run(*args, **kwargs)
        except ConfigError:
            raise
        except MongoGcpStreamError as error:
            show_error(str(error), error.hint)
            return ExitCode.FAILED

    for option in reversed(_SELECTION):
        wrapped = option(wrapped)
    return wrapped


@click.group("dead-letter")
def dead_letter() -> None:
    """Look at dead letters, deliver them after all.

    A dead letter is an event or a message that could not be delivered and went where `dead_letter`
    in the configuration says.

    \b
    What is there?
      mongo-gcp-stream dead-letter list --config config.yaml
    Deliver it, once what was wrong is corrected:
      mongo-gcp-stream dead-letter redrive --config config.yaml
    """


@dead_letter.command(
    "list",
    epilog=table(
        {
            ExitCode.CLEAN: "done, also where there is none",
            ExitCode.FAILED: "the file or the subscription cannot be read",
            ExitCode.USAGE: "bad configuration or usage",
        }
    ),
)
@_command
def list_command(config_path: str, *, as_json: bool, **selection: Any) -> ExitCode:  # noqa: ANN401
    """List dead letters, without any value of a document; they stay where they are.

    \b
    Example:
      mongo-gcp-stream dead-letter list --config config.yaml
      mongo-gcp-stream dead-letter list --config config.yaml --stream main.orders --json

    TIME is the cluster time of the event; EVENT_ID is the attribute `event_id` of its message.
    """
    letters = dead_letter_list(config_path, **selection)
    if as_json:
        for letter in letters:
            click.echo(json.dumps(_fields(letter)))
        return ExitCode.CLEAN
    for line in _table(
        _COLUMNS, ([_fields(letter)[key] for key in _COLUMNS] for letter in letters)
    ):
        click.echo(line)
    return ExitCode.CLEAN


@dead_letter.command(
    epilog=table(
        {
            ExitCode.CLEAN: "all of them are delivered",
            ExitCode.FAILED: "one is left, or a server or the file is out of reach",
            ExitCode.USAGE: "bad configuration or usage; nothing was delivered",
        }
    )
)
@_command
@click.option("--keep", is_flag=True, help="Leave also those that are delivered.")
@click.option(
    "--timeout",
    "timeout_ms",
    type=Duration(),
    default="30s",
    show_default=True,
    metavar="DURATION",
    help="How long one of them may take.",
)
def redrive(config_path: str, *, as_json: bool, **selection: Any) -> ExitCode:  # noqa: ANN401
    """Deliver dead letters, and take out those that are delivered.

    \b
    Example:
      mongo-gcp-stream dead-letter redrive --config config.yaml
      mongo-gcp-stream dead-letter redrive --config config.yaml --stream main.orders --keep

    The event is read again from MongoDB and goes the way of any other, by the configuration as it
    is now; its messages carry the attribute `redriven=true`. Where the oplog no longer holds it, a
    message that Pub/Sub had refused is sent as it was kept; any other dead letter is left. It may
    run beside `run`. A redriven message comes after later ones of the same document: compare
    `cluster_time`.
    """
    redriven = dead_letter_redrive(config_path, **selection)
    if as_json:
        for one in redriven:
            outcome = {"outcome": one.outcome, "why": one.why}
            click.echo(json.dumps({**_fields(one.letter), **outcome}))
    else:
        titles = ("outcome", *_COLUMNS[:-1], "why")
        rows = (
            [one.outcome, *(_fields(one.letter)[key] for key in _COLUMNS[:-1]), one.why]
            for one in redriven
        )
        for line in _table(titles, rows):
            click.echo(line)
    left = any(one.outcome == "left" for one in redriven)
    if left and len(redriven) == selection["limit"]:
        show_warning(
            "there may be more: those that are left come first each time; --limit takes more of "
            "them, --stream and --event-id others"
        )
    return ExitCode.FAILED if left else ExitCode.CLEAN


def _fields(letter: DeadLetter) -> dict[str, str | None]:
    return {key: getattr(letter, key) for key in _FIELDS}


def _table(titles: Iterable[str], rows: Iterable[Iterable[str | None]]) -> list[str]:
    """Lay out one line a dead letter, in columns."""
    lines = [[title.upper() for title in titles]]
    lines += [[cell if cell is not None else "-" for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
