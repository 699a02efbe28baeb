"""`python -m tests.support.table_scene`: the table over streams that are made up.

The core's part is played: lines to descriptor 2 from another thread, statistics that change, and an
end by `stop`.
"""

from __future__ import annotations

import os
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from mongo_gcp_stream.cli.run import run_with_table

if TYPE_CHECKING:
    from mongo_gcp_stream import RunReport


@dataclass(frozen=True)
class Row:
    """What the table reads of a stream's statistics."""

    state: str = "streaming"
    events_per_second: float = 0.0
    bytes_per_second: float = 0.0
    lag: float | None = 0.0
    in_flight: int = 0
    retries: int = 0
    last_error: str | None = None
    last_error_time: float | None = None


class PlayedRunner:
    """Plays `Runner`: a hundred streams, of which one is in trouble."""

    def __init__(self) -> None:
        self._stopped = threading.Event()
        self.drawn = 0

    def work(self) -> RunReport:
        """Write log lines until stopped."""
        number = 0
        while not self._stopped.wait(0.02):
            number += 1
            # In two parts, as a writer may be interrupted.
            os.write(2, f"line {number} be".encode())
            os.write(2, b"gins and ends [not markup]\n")
        os.write(2, b"the last line\n")
        return cast("RunReport", None)

    def stop(self) -> None:
        """End `work`."""
        self._stopped.set()

    def statistics(self) -> dict[str, Row]:
        """Tell a rate that counts the drawings."""
        self.drawn += 1
        streams = {
            f"main.s{number}": Row(events_per_second=self.drawn, lag=0.1) for number in range(99)
        }
        trouble = Row("backing_off", lag=75.0, last_error="no primary", last_error_time=1.0)
        return {**streams, "other.orders": trouble}


def main() -> None:
    """Show it until SIGINT or SIGTERM."""
    played = PlayedRunner()
    run_with_table(played.work, played.stop, played.statistics)
    sys.stdout.write("over\n")


if __name__ == "__main__":
    main()
