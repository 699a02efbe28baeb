"""A Beam pipeline on Prism, in place of the core's own line."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Literal

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.runner import PipelineResult, PipelineState

from mongo_gcp_stream.beam import ReadFromMongoDBChangeStream, ValidateAndEnrich, WriteToPubSub
from mongo_gcp_stream.beam.prism import prism_location
from mongo_gcp_stream.demo.line import TOPIC
from mongo_gcp_stream.errors import MongoGcpStreamError
from mongo_gcp_stream.testing.guard import Guard

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from mongo_gcp_stream import Failure

#: What every order of the demo has.
_SCHEMAS = {
    "demo.orders": {
        "customer.name": {"type": "string", "required": True},
        "items": {"type": "array", "required": True},
        "revision": {"type": "number", "required": True, "min": 1},
    }
}

#: How long Prism and the pipeline may take to come up.
_OPEN_SECONDS = 60.0


class BeamLine:
    """One stream, `demo.orders`, read, validated and written by a pipeline on Prism.

    A checkpoint follows it, so that a second pipeline can go on where it was cancelled.
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._guard = Guard("mongo-gcp-stream-demo-")
        self._state = self._guard.folder / "state"
        self._result: PipelineResult | None = None
        self.failures: list[Failure] = []
        # Beam tells every step of a job, and its threads complain when a runner goes away.
        logging.disable(logging.WARNING)
        logging.getLogger("apache_beam.runners.worker.data_plane").setLevel(logging.CRITICAL)
        self._hook = threading.excepthook
        threading.excepthook = self._told

    def start(self) -> None:
        """Start the pipeline and return once the stream is open: its position is stored then."""
        options = PipelineOptions(
            ["--runner=PrismRunner", f"--prism_location={prism_location()}", "--streaming"]
        )
        # Beam puts a handler in front of ours that ends Prism at once.
        on_interrupt = signal.getsignal(signal.SIGINT)
        self._result = self._run(beam.Pipeline(options=options), "RESUME_OR_NEW")
        signal.signal(signal.SIGINT, on_interrupt)
        deadline = time.monotonic() + _OPEN_SECONDS
        while not any(self._state.glob("*.json")):
            if self.ended or time.monotonic() > deadline:
                raise MongoGcpStreamError(
                    "the pipeline did not open the stream", hint="Try `mongo-gcp-stream demo`."
                )
            time.sleep(0.05)

    @property
    def ended(self) -> bool:
        """Whether the pipeline has ended by itself."""
        result = self._result
        return result is None or bool(PipelineState.is_terminal(result.state))

    def stop(self) -> None:
        """Cancel the pipeline: what its last bundles have read is published."""
        if self._result is not None:
            _end(self._result)
            self._result = None

    def catch_up(self) -> None:
        """Run a second pipeline, which goes on from the checkpoint, up to now.

        In this process: it has an end, and Prism may be gone.
        """
        options, end = PipelineOptions([]), datetime.now(timezone.utc)
        result = self._run(beam.Pipeline(FnApiRunner(), options), "RESUME_OR_FAIL", end_at=end)
        result.wait_until_finish()

    def _run(
        self,
        pipeline: beam.Pipeline,
        resume: Literal["RESUME_OR_NEW", "RESUME_OR_FAIL"],
        end_at: datetime | None = None,
    ) -> PipelineResult:
        read = ReadFromMongoDBChangeStream(
            self._uri,
            "shop",
            "orders",
            connection_id="demo",
            end_at=end_at,
            resume=resume,
            checkpoint={"store": "file", "path": str(self._state)},
        )
        pipeline | read | ValidateAndEnrich(schemas=_SCHEMAS) | WriteToPubSub(TOPIC)
        return pipeline.run()

    def _told(self, arguments: threading.ExceptHookArgs) -> None:
        if "grpc" not in arguments.exc_type.__module__:
            self._hook(arguments)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        self._guard.close()


def _end(result: PipelineResult) -> None:
    logging.disable(logging.CRITICAL)
    # A pipeline that was cancelled ends in an error on portable runners; and Prism may be gone:
    # the Ctrl-C of a terminal reaches it as well.
    with contextlib.suppress(Exception):
        result.cancel()
        result.wait_until_finish()
