"""How errors look on a terminal."""

from __future__ import annotations

import click


def show_error(message: str, hint: str = "") -> None:
    """Print an error, and what can be done about it, to standard error."""
    click.echo(f"{click.style('error', fg='red', bold=True)}: {message}", err=True)
    if hint:
        click.echo(f"{click.style('hint', fg='cyan')}: {hint}", err=True)


def show_warning(message: str) -> None:
    """Print a warning to standard error."""
    click.echo(f"{click.style('warning', fg='yellow')}: {message}", err=True)
