"""The commands of `mongo-gcp-stream`, as `--help` tells of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click
from mongo_gcp_stream.cli import cli

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM_NAME = "mongo-gcp-stream"
#: Columns that the help is laid out for; the group allows no more.
WIDTH = 100


def every_help() -> Iterator[tuple[str, str]]:
    """Each command with its name as it is typed and its help; groups before what is in them."""
    for context in _contexts(_root()):
        yield context.command_path, context.get_help()


def commands() -> dict[str, click.Command]:
    """What can be run, without groups, by the name after the program's: `position show`."""
    return {
        context.command_path.removeprefix(f"{PROGRAM_NAME} "): context.command
        for context in _contexts(_root())
        if not isinstance(context.command, click.Group)
    }


def examples(command: click.Command) -> list[str]:
    """What of a command's help can be typed as it stands; a backslash continues a line."""
    lines = re.sub(r"\\\n\s*", "", command.help or "").splitlines()
    return [line.strip() for line in lines if line.strip().startswith(f"{PROGRAM_NAME} ")]


def _root() -> click.Context:
    settings = {**cli.context_settings, "terminal_width": WIDTH}
    return click.Context(cli, info_name=PROGRAM_NAME, **settings)


def _contexts(context: click.Context) -> Iterator[click.Context]:
    yield context
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            if command is not None and not command.hidden:
                yield from _contexts(click.Context(command, parent=context, info_name=name))
