"""`mongo-gcp-stream` as a process, as a user runs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.waiting import PATIENCE_SECONDS, eventually

if TYPE_CHECKING:
    import signal
    from collections.abc import Mapping
    from types import TracebackType
    from typing import IO

    from typing_extensions import Self

#: The program that is installed beside the interpreter of the tests.
PROGRAM = Path(sys.executable).with_name("mongo-gcp-stream")


class Process:
    """A running `mongo-gcp-stream`; ended at the latest by the end of the `with` block."""

    def __init__(self, *arguments: str, env: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [str(PROGRAM), *arguments],
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._outputs = [
            _Lines(self._process.stdout),
            _Lines(self._process.stderr),
        ]

    @property
    def stdout(self) -> str:
        """All that it has written to standard output so far."""
        return self._outputs[0].text()

    @property
    def stderr(self) -> str:
        """All that it has written to standard error so far."""
        return self._outputs[1].text()

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def wait_for_line(self, pattern: str) -> str:
        """Wait for a line on either output that contains the pattern, whatever its case."""

        def look() -> str | None:
            ended = not self.running
            for line in f"{self.stdout}\n{self.stderr}".splitlines():
                if re.search(pattern, line, re.IGNORECASE):
                    return line
            assert not ended, f"ended without a line like {pattern!r}:\n{self.stderr}"
            return None

        line = eventually(look, f"a line like {pattern!r}")
        assert line is not None
        return line

    def wait(self) -> int:
        """Wait for its end and return its exit code, negative for a signal."""
        try:
            code = self._process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"still running; its log:\n{self.stderr}") from error
        for output in self._outputs:
            output.join()
        return code

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it as a crash would (SIGKILL)."""
        self._process.kill()
        self.wait()

    def rss_bytes(self) -> int:
        """Resident memory now."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        found = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
        assert found is not None
        return int(found[1]) * 1024

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.running:
            self._process.kill()
        self.wait()


class _Lines:
    """Takes in a pipe as it fills, so that the process never waits for its reader."""

    def __init__(self, pipe: IO[str] | None) -> None:
        assert pipe is not None
        self._pipe = pipe
        self._lines: list[str] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with self._pipe:
            for line in self._pipe:
                self._lines.append(line)

    def text(self) -> str:
        return "".join(self._lines)

    def join(self) -> None:
        self._thread.join(PATIENCE_SECONDS)
