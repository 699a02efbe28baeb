"""The terminal: whether there is one for a table, and standard error above that table."""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self

#: How long the last lines may take. Only a child process that kept standard error can hold them up.
_PATIENCE_SECONDS = 10.0

#: What a pipe holds on Linux: all that has come while the table was drawn is taken at once.
_PIPE_BYTES = 65536


def fits(log_format: str) -> bool:
    """Whether this process has a terminal for the table, and nobody who reads it as JSON."""
    if not sys.stdout.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        return False
    return log_format == "text" or not log_shares_the_terminal()


def log_shares_the_terminal() -> bool:
    """Whether standard error is the terminal that standard output is."""
    return os.isatty(2) and os.path.samestat(os.fstat(1), os.fstat(2))


class LinesAbove:
    """Hands every line that this process writes to standard error to `show`, inside the block.

    It works on the descriptor, because the core writes there without Python. The lines come through
    a pipe, and a thread reads them; it never stops reading, so that no writer has to wait.

    Args:
        show: Gets the lines without their ends, as many as have come since it was called before, on
            that thread.
    """

    def __init__(self, show: Callable[[list[str]], None]) -> None:
        self._show = show

    def __enter__(self) -> Self:
        self._real = os.dup(2)
        reading, writing = os.pipe()
        os.dup2(writing, 2)
        os.close(writing)
        self._thread = threading.Thread(
            target=self._read, args=(reading,), name="lines above", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Closes the pipe's only writing end: the thread comes to its end after the last line.
        os.dup2(self._real, 2)
        os.close(self._real)
        self._thread.join(_PATIENCE_SECONDS)

    def _read(self, reading: int) -> None:
        rest = b""
        try:
            while chunk := os.read(reading, _PIPE_BYTES):
                *lines, rest = (rest + chunk).split(b"\n")
                if lines:
                    self._show([line.decode(errors="replace") for line in lines])
        finally:
            os.close(reading)
        if rest:
            self._show([rest.decode(errors="replace")])
