"""The core in a thread, with a configuration of its own."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from mongo_gcp_stream import Runner
from mongo_gcp_stream.errors import MongoGcpStreamError
from mongo_gcp_stream.testing.guard import Guard

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from mongo_gcp_stream import Failure, RunReport

TOPIC = "projects/demo/topics/shop-changes"
SUBSCRIPTION = "projects/demo/subscriptions/shop-changes"

_CONFIG = """\
mongodb:
  connections:
    demo:
      uri: {uri}
      sources:
        orders: {{database: shop, collection: orders}}
gcp:
  project_id: demo
pubsub:
  topics:
    default: {{name: shop-changes}}
checkpoint:
  store: file
  path: {state}
logging:
  level: error
"""

#: How long opening the stream may take.
_OPEN_SECONDS = 30.0


class Line:
    """One stream, `demo.orders`, from a mongod to the Pub/Sub at `PUBSUB_EMULATOR_HOST`."""

    def __init__(self, uri: str) -> None:
        self._guard = Guard("mongo-gcp-stream-demo-")
        folder = self._guard.folder
        config = folder / "config.yaml"
        config.write_text(_CONFIG.format(uri=uri, state=folder / "state"))
        self._config = str(config)
        self._runner = Runner(self._config)
        self._thread = threading.Thread(target=self._run, name="line")
        self._reports: list[RunReport] = []

    def start(self) -> None:
        """Start streaming and return once the stream is open: nothing written later is missed."""
        self._thread.start()
        deadline = time.monotonic() + _OPEN_SECONDS
        while not any(s.active for s in self._runner.statistics().values()):
            if self.ended or time.monotonic() > deadline:
                failures = "; ".join(failure.message for failure in self.failures)
                hint = " ".join(failure.hint for failure in self.failures)
                message = f"the stream did not open: {failures or 'no answer'}"
                raise MongoGcpStreamError(message, hint=hint)
            time.sleep(0.02)

    @property
    def ended(self) -> bool:
        """Whether the stream has ended, by a failure or a signal."""
        return not self._thread.is_alive()

    @property
    def failures(self) -> list[Failure]:
        """Why it ended, where that was no stop."""
        return [failure for report in self._reports for failure in report.failures]

    def stop(self) -> None:
        """Drain: what was read is published and the position stored."""
        self._runner.stop()
        self._thread.join()

    def catch_up(self) -> None:
        """Run once more from the stored position, until everything written so far is published."""
        report = Runner(self._config).run(until_caught_up=True, timeout_ms=15_000)
        self._reports.append(report)

    def _run(self) -> None:
        self._reports.append(self._runner.run())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._thread.is_alive():
            self.stop()
        self._guard.close()
