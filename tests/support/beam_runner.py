"""Prism, Beam's local runner, and pipelines that run in the background of a test.

`python -m tests.support.beam_runner` builds Prism into `target/prism/`, ahead of the tests.
"""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineState
from mongo_gcp_stream.beam.prism import prism_location

from tests.support.guarded import GuardedProcess
from tests.support.waiting import PATIENCE_SECONDS, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    import apache_beam as beam
    from typing_extensions import Self

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[2]

#: How long a worker may take to end after its pipeline; it takes a moment.
_WORKER_SECONDS = 10.0


def prism_program() -> Path:
    """Where Prism is: for tests a built one is kept in `target/prism/`."""
    return prism_location(cache=ROOT / "target" / "prism")


class PrismServer:
    """A Prism that takes any number of pipelines; it ends with the `with` block."""

    def __init__(self) -> None:
        # Of its own accord it takes a free port and says which; workers connect to the same one.
        command = [str(prism_program()), "--job_port=0", "--serve_http=false", "--log_kind=text"]
        self._process = GuardedProcess("prism", command)
        self.endpoint = self._process.wait_for_log(r"Serving JobManagement.*endpoint=(\S+)")

    def options(self, *further: str) -> PipelineOptions:
        """Options for a pipeline that runs here, its workers threads of this process."""
        return PipelineOptions(
            [
                "--runner=PortableRunner",
                f"--job_endpoint={self.endpoint}",
                "--environment_type=LOOPBACK",
                "--streaming",
                *further,
            ]
        )

    def log(self) -> str:
        """Return what it has logged."""
        return self._process.log()

    def close(self) -> None:
        """End it, after the workers of its pipelines: one that loses its runner fails."""
        for thread in threading.enumerate():
            # A pipeline has ended as soon as Prism says so; its worker is told a little later.
            if thread.name.startswith(("run_worker_", "read_grpc_client_inputs")):
                thread.join(_WORKER_SECONDS)
        self._process.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def prism_runner_options(*further: str) -> PipelineOptions:
    """Options as users give them: Beam's own PrismRunner starts a Prism for this process."""
    location = f"--prism_location={prism_program()}"
    return PipelineOptions(["--runner=PrismRunner", location, "--streaming", *further])


class RunningPipeline:
    """A pipeline that runs until it ends or is cancelled."""

    def __init__(self, pipeline: beam.Pipeline) -> None:
        self._failure: BaseException | None = None
        self._cancelled = False
        self.result = pipeline.run()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def eventually(self, look: Callable[[], T], what: str) -> T:
        """Look until what is seen is true, and return it, while the pipeline runs.

        Raises:
            RuntimeError: The pipeline failed.
            AssertionError: It never happened.
        """

        def look_while_running() -> T:
            seen = look()
            if not seen:
                self._raise_failure()
            return seen

        return eventually(look_while_running, what)

    def wait(self) -> None:
        """Wait until the pipeline has ended by itself.

        Raises:
            RuntimeError: It failed.
        """
        self._join()
        self._raise_failure()

    def cancel(self) -> None:
        """Cancel it, unless it has ended, and wait for its end.

        Raises:
            RuntimeError: It had failed before.
        """
        if self._watcher.is_alive():
            self._cancelled = True
            self.result.cancel()
        self._join()
        self._raise_failure()

    def _watch(self) -> None:
        try:
            self.result.wait_until_finish()
        except Exception as error:  # noqa: BLE001 -- raised where the test waits
            self._failure = error

    def _join(self) -> None:
        self._watcher.join(PATIENCE_SECONDS)
        assert not self._watcher.is_alive(), "the pipeline does not end"

    def _raise_failure(self) -> None:
        # Portable runners call a cancelled pipeline a failed one.
        expected = self._cancelled and self.result.state == PipelineState.CANCELLED
        if self._failure is not None and not expected:
            raise self._failure


@contextlib.contextmanager
def running(pipeline: beam.Pipeline) -> Iterator[RunningPipeline]:
    """Run a pipeline in the background of a `with` block, and cancel it at its end."""
    started = RunningPipeline(pipeline)
    try:
        yield started
    except BaseException:
        # What went wrong in the block is what the test is to tell.
        with contextlib.suppress(Exception):
            started.cancel()
        raise
    started.cancel()


if __name__ == "__main__":
    print(prism_program())  # noqa: T201 -- so that a Makefile can build it ahead of the tests
