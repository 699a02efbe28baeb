"""The exit codes of `mongo-gcp-stream`, in one place: the help text is made from it."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class ExitCode(IntEnum):
    """How a command ended."""

    CLEAN = 0
    FAILED = 1
    USAGE = 2
    DRAIN_MISSED = 3
    NOT_CAUGHT_UP = 4
    KILLED = 130


#: What they mean for `run`, and for a command that says nothing else.
OF_RUN = {
    ExitCode.CLEAN: "everything handed to Pub/Sub was acknowledged, the position stored",
    ExitCode.FAILED: "a stream failed; its position is before what failed",
    ExitCode.USAGE: "bad configuration or usage; nothing was started",
    ExitCode.DRAIN_MISSED: "the drain missed its deadline with events unpublished; they come again",
    ExitCode.NOT_CAUGHT_UP: "--timeout or a signal ended --until-caught-up before it had caught up",
    ExitCode.KILLED: "a second signal ended the drain; unpublished events come again",
}


def table(meaning: Mapping[ExitCode, str] = OF_RUN) -> str:
    """Codes and what they mean for a command, one a line.

    The leading backspace keeps click from filling the lines.
    """
    lines = (f"  {code.value:>3}  {what}" for code, what in meaning.items())
    return "\b\nExit codes:\n" + "\n".join(lines)
