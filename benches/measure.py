"""What a program costs: runs one and says what it used.

Run as a program of its own (`python -S measure.py SECONDS COMMAND…`): Linux counts the memory of
the process that starts a program into the program's peak, and this one is smaller than any.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from typing import NamedTuple


class Usage(NamedTuple):
    """What one run of a program used."""

    exit_code: int
    """Negative: the signal that ended it."""
    wall_seconds: float
    cpu_seconds: float
    """User and system time, of all its threads."""
    peak_rss_bytes: int
    """Largest resident set."""


def run(command: list[str], env: dict[str, str], timeout: float) -> Usage:
    """Runs `command` and waits for it; kills it after `timeout` seconds.

    Raises:
        RuntimeError: It did not exit with 0.
    """
    measured = subprocess.run(
        [sys.executable, "-S", __file__, str(timeout), *command],
        env=env,
        stdout=subprocess.PIPE,
        check=True,
    )
    usage = Usage(*json.loads(measured.stdout))
    if usage.exit_code != 0:
        raise RuntimeError(f"{command[0]} ended with {usage.exit_code} instead of 0")
    return usage


def _measure(command: list[str], timeout: float) -> Usage:
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=sys.stderr)
    watchdog = threading.Timer(timeout, process.kill)
    watchdog.start()
    _, status, used = os.wait4(process.pid, 0)
    watchdog.cancel()
    return Usage(
        exit_code=os.waitstatus_to_exitcode(status),
        wall_seconds=time.monotonic() - began,
        cpu_seconds=used.ru_utime + used.ru_stime,
        peak_rss_bytes=used.ru_maxrss * 1024,
    )


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_measure(sys.argv[2:], float(sys.argv[1]))))
