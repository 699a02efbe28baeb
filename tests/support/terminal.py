"""A program on a terminal of its own."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import threading
from typing import TYPE_CHECKING

from tests.support.waiting import PATIENCE_SECONDS, eventually

if TYPE_CHECKING:
    import signal
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

#: Colours and the cursor's visibility, and what moves the cursor or erases a line.
_LOOKS = re.compile(r"\x1b\[(?:[0-9;]*m|\?[0-9]+[hl])|\r(?=\n)")
_MOVES = re.compile(r"\x1b\[[0-9;]*[A-K]|\r")

#: How a program hides the cursor; a shell finds it hidden if that program is killed.
HIDE_CURSOR = "\x1b[?25l"
SHOW_CURSOR = "\x1b[?25h"


class OnTerminal:
    """A program whose standard output is a pseudo-terminal; ended by the end of the block.

    Args:
        command: Program and arguments.
        env: Variables over those of the tests.
        stderr: A file for standard error; the same terminal by default.
        size: Lines and columns.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        stderr: Path | None = None,
        size: tuple[int, int] = (24, 120),
    ) -> None:
        self._terminal, program_side = pty.openpty()
        fcntl.ioctl(program_side, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        with open(stderr or os.devnull, "wb") as log:  # noqa: PTH123 - a path or a name
            self._process = subprocess.Popen(
                [str(part) for part in command],
                env={**os.environ, "TERM": "xterm-256color", **(env or {})},
                stdin=program_side,
                stdout=program_side,
                stderr=log if stderr else program_side,
                start_new_session=True,
            )
        os.close(program_side)
        self._written: list[bytes] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    @property
    def raw(self) -> str:
        """All that came to the terminal so far, control sequences included."""
        return b"".join(self._written).decode(errors="replace")

    @property
    def text(self) -> str:
        """The same in lines, without them: each drawing of a table in it, one after another."""
        return _MOVES.sub("\n", _LOOKS.sub("", self.raw))

    def wait_for(self, pattern: str) -> str:
        """Wait until this pattern stands in `text` and return what matches."""

        def look() -> str | None:
            ended = self._process.poll() is not None
            if found := re.search(pattern, self.text):
                return found[0]
            assert not ended, f"ended without {pattern!r}:\n{self.text}"
            return None

        found = eventually(look, f"{pattern!r} on the terminal, which shows\n{self.text}")
        assert found is not None
        return found

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def wait(self) -> int:
        """Wait for the end and return the exit code."""
        code = self._process.wait(PATIENCE_SECONDS)
        self._thread.join(PATIENCE_SECONDS)
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self.wait()
        os.close(self._terminal)

    def _read(self) -> None:
        # A terminal whose program has ended says so by an error.
        try:
            while chunk := os.read(self._terminal, 65536):
                self._written.append(chunk)
        except OSError:
            return
