"""Cleans up after a process, however that process ends.

A guard is a small process of its own. Its standard input is a pipe from the process it works for:
the pipe closes when that one closes it, exits, crashes or is killed, and only then the guard acts.
It ends the program that it was last told of and removes a temporary folder. It runs in a session of
its own, so that Ctrl-C on a terminal reaches neither it nor what it guards.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

#: What the guard runs: no site packages, no import that a half-removed environment could lack.
_PROGRAM = """
import os, shutil, signal, sys
pid = 0
for line in sys.stdin:
    pid = int(line)
if pid:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
for _ in range(20):
    shutil.rmtree(sys.argv[1], ignore_errors=True)
    if not os.path.exists(sys.argv[1]):
        break
"""


class Guard:
    """A temporary folder, and at most one program, that do not outlive this process."""

    def __init__(self, prefix: str) -> None:
        self.folder: Path = Path(tempfile.mkdtemp(prefix=prefix))
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _PROGRAM, str(self.folder)],
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def watch(self, pid: int) -> None:
        """Guard the program with this process id, the leader of its group; 0 for none."""
        assert self._guard.stdin is not None  # noqa: S101 - for the type checker
        self._guard.stdin.write(f"{pid}\n")
        self._guard.stdin.flush()

    def close(self) -> None:
        """End the program, remove the folder, and return when both are done."""
        self._guard.communicate()
