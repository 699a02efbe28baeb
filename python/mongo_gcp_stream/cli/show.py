"""How errors and warnings look on standard error."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import click

from mongo_gcp_stream._core import log_format

if TYPE_CHECKING:
    from mongo_gcp_stream import Failure


def show_error(message: str, hint: str = "") -> None:
    """Print an error, and what can be done about it."""
    if log_format() == "json":
        _line("ERROR", message, hint=hint)
        return
    click.echo(f"{click.style('error', fg='red', bold=True)}: {message}", err=True)
    if hint:
        click.echo(f"{click.style('hint', fg='cyan')}: {hint}", err=True)


def show_failure(failure: Failure) -> None:
    """Print why a stream failed. With `logging.format: json` the log has said it already."""
    if log_format() == "json":
        return
    # What fails before any stream is built has none.
    prefix = f"{failure.stream}: " if failure.stream else ""
    show_error(f"{prefix}{failure.message}", failure.hint)


def show_warning(message: str) -> None:
    """Print a warning."""
    if log_format() == "json":
        _line("WARN", message)
        return
    click.echo(f"{click.style('warning', fg='yellow')}: {message}", err=True)


def _line(level: str, message: str, **fields: str) -> None:
    """Print a line as the core logs it, so that who reads them finds nothing else."""
    timestamp = datetime.now(timezone.utc).isoformat(timespec="microseconds")
    line = {
        "timestamp": timestamp.replace("+00:00", "Z"),
        "level": level,
        "message": message,
        **{name: value for name, value in fields.items() if value},
        "target": "mongo_gcp_stream::cli",
    }
    click.echo(json.dumps(line, ensure_ascii=False), err=True)
