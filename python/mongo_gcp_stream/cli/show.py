"""How errors look on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from mongo_gcp_stream import Failure


def show_error(message: str, hint: str = "") -> None:
    """Print an error, and what can be done about it, to standard error."""
    click.echo(f"{click.style('error', fg='red', bold=True)}: {message}", err=True)
    if hint:
        click.echo(f"{click.style('hint', fg='cyan')}: {hint}", err=True)


def show_failure(failure: Failure) -> None:
    """Print why a stream failed."""
    # What fails before any stream is built has none.
    prefix = f"{failure.stream}: " if failure.stream else ""
    show_error(f"{prefix}{failure.message}", failure.hint)


def show_warning(message: str) -> None:
    """Print a warning to standard error."""
    click.echo(f"{click.style('warning', fg='yellow')}: {message}", err=True)
