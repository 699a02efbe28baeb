"""`mongo-gcp-stream position`: look at stored positions, set them, forget them."""

from __future__ import annotations

import json
import signal
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from mongo_gcp_stream._core import (
    StoredPosition,
    position_clear,
    position_set,
    position_show,
)
from mongo_gcp_stream.cli.exit_codes import ExitCode
from mongo_gcp_stream.cli.show import show_error
from mongo_gcp_stream.errors import ConfigError, MongoGcpStreamError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_EXIT_CODES = """\b
Exit codes:
    0  done
    1  the store or the server refused, or another process is running the stream
    2  bad configuration or usage; nothing was changed
  130  interrupted, or not confirmed; nothing was changed"""

_config = click.option(
    "--config",
    "config_path",
    required=True,
    metavar="PATH",
    help="The same configuration that `run` reads.",
)
_stream = click.option(
    "--stream",
    required=True,
    metavar="NAME",
    help="Name of the stream: <connection id>.<source name>.",
)


def _failing(command: Callable[..., None]) -> Callable[..., ExitCode]:
    """Let Ctrl-C end the core's work, and tell what went wrong by the exit code."""

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> ExitCode:  # noqa: ANN401 - whatever click gives
        try:
            command(*args, **kwargs)
        except ConfigError:
            raise
        except MongoGcpStreamError as error:
            show_error(str(error), error.hint)
            return ExitCode.FAILED
        return ExitCode.CLEAN

    return wrapped


@click.group(epilog=_EXIT_CODES)
def position() -> None:
    """Look at stored positions, set them, forget them.

    A position is where a stream is: everything before it has been published, nothing after it. A
    checkpoint is a stored position; `run` goes on from it.

    \b
    Where is every stream?
      mongo-gcp-stream position show --config config.yaml
    Publish everything since this morning once more:
      mongo-gcp-stream position set --config config.yaml --stream main.orders \\
        --to 2026-01-31T06:00:00Z
    Forget where a stream was: its next run begins at its `startup`:
      mongo-gcp-stream position clear --config config.yaml --stream main.orders
    """


@position.command(epilog=_EXIT_CODES)
@_config
@click.option("--stream", metavar="NAME", help="Only this stream; all of them by default.")
@click.option("--json", "as_json", is_flag=True, help="A JSON array, for programs.")
@click.option(
    "--show-token",
    is_flag=True,
    help="Show the resume token too. It holds the document's _id in plain hex.",
)
@_failing
def show(config_path: str, *, stream: str | None, as_json: bool, show_token: bool) -> None:
    """Show where each stream is, also while `run` is running.

    \b
    Example:
      mongo-gcp-stream position show --config config.yaml
      mongo-gcp-stream position show --config config.yaml --stream main.orders --json

    TIME is the cluster time of the position: what happened before it has been published. EPOCH
    grows by one with each start of `run` and each `position set`; SEQUENCE counts the events of the
    epoch.
    """
    stored = position_show(config_path, stream)
    if as_json:
        rows = [_fields(name, found, show_token=show_token) for name, found in stored.items()]
        click.echo(json.dumps(rows, indent=2))
        return
    for line in _table(stored):
        click.echo(line)
    if show_token:
        for name, found in stored.items():
            if found is not None and found.token is not None:
                click.echo(f"{name} token:{found.token}")


@position.command("set", epilog=_EXIT_CODES)
@_config
@_stream
@click.option(
    "--to",
    "start",
    required=True,
    metavar="POSITION",
    help="earliest (the oldest event in the oplog), latest (now), a time in RFC 3339, or "
    "token:<hex> (the _data of a resume token: after its event).",
)
@_failing
def set_position(config_path: str, *, stream: str, start: str) -> None:
    """Set where a stream goes on with its next run.

    \b
    Example:
      mongo-gcp-stream position set --config config.yaml --stream main.orders --to earliest
      mongo-gcp-stream position set --config config.yaml --stream main.orders \\
        --to 2026-01-31T06:00:00Z

    The stream is opened there once: a position that the oplog no longer holds is refused. Setting
    it back publishes again what comes after it, under the same event ids; setting it forward skips
    what lies between. Stop `run` first: with `store: file` a running one is in the way, with the
    other stores it ends with a conflict.
    """
    # Python's own handler would never run while Rust blocks.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        stored = position_set(config_path, stream, start)
    except ConfigError:
        raise
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--to") from error
    click.echo(f"{stream} is set to {stored.time or 'its token'}, epoch {stored.epoch}")


@position.command(epilog=_EXIT_CODES)
@_config
@_stream
@click.option("--yes", is_flag=True, help="Do not ask.")
@_failing
def clear(config_path: str, *, stream: str, yes: bool) -> None:
    """Forget where a stream was: its next run begins at its `startup`.

    \b
    Example:
      mongo-gcp-stream position clear --config config.yaml --stream main.orders

    What happens until that run is lost with `startup: latest`. To begin anew without a gap, use
    `position set`. Stop `run` first, as for `position set`.
    """
    if not yes:
        click.confirm(f"Forget the position of {stream}?", abort=True, err=True)
    if position_clear(config_path, stream):
        click.echo(f"{stream} has no position any more")
    else:
        click.echo(f"{stream} had no position")


_COLUMNS = (
    ("STREAM", "stream"),
    ("TIME", "time"),
    ("EPOCH", "epoch"),
    ("SEQUENCE", "sequence"),
    ("STORED AT", "stored_at"),
    ("SCOPE", "scope"),
    ("REPLICA SET", "replica_set"),
    ("ORDERING", "ordering"),
)


def _fields(name: str, found: StoredPosition | None, *, show_token: bool) -> dict[str, Any]:
    """Describe a stream; without a checkpoint, everything but its name is null."""
    fields = {key: getattr(found, key, None) for _, key in _COLUMNS}
    fields["stream"] = name
    if show_token:
        fields["token"] = getattr(found, "token", None)
    return fields


def _table(stored: Mapping[str, StoredPosition | None]) -> list[str]:
    """Lay out one line a stream, in columns."""
    rows = [[title for title, _ in _COLUMNS]]
    for name, found in stored.items():
        fields = _fields(name, found, show_token=False)
        rows.append([str(value) if value is not None else "-" for value in fields.values()])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
