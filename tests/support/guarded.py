"""Servers that tests start: none outlives the tests, however they end."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

from mongo_gcp_stream.testing.guard import Guard

from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class GuardedProcess:
    """A program with a log and a temporary folder; it, its children and the folder go together.

    Args:
        name: What it is called in errors, and its folder after.
        command: The program and its arguments.
        env: The environment; that of this process by default.
    """

    def __init__(
        self, name: str, command: Sequence[str], env: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self._guard = Guard(f"{name}-")
        self.folder: Path = self._guard.folder
        self._log = self.folder / "log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=env,
                cwd=self.folder,
                start_new_session=True,
            )
        self.pid = self._process.pid
        self._guard.watch(self.pid)

    def log(self) -> str:
        """Return what it has written so far, to standard output and standard error."""
        return self._log.read_text(errors="replace")

    def require_running(self) -> None:
        """Fail, with the end of its log, if it has ended."""
        assert self._process.poll() is None, f"{self.name} ended:\n{self.log()[-3000:]}"

    def wait_for_log(self, pattern: str) -> str:
        """Wait for a whole line of its log and return the group in the pattern."""

        def look() -> str:
            self.require_running()
            found = re.search(rf"{pattern}.*\n", self.log())
            return found[1] if found else ""

        try:
            return eventually(look, f"{self.name} says {pattern}")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End it and its children, at once, and remove the folder."""
        # The guard kills by the group's id, which is ours as long as the process is not reaped.
        self._guard.close()
        self._process.wait()
