"""Pipelines that are started, watched and ended by the command line."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import threading
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Literal

from apache_beam.options.pipeline_options import (
    GoogleCloudOptions,
    PipelineOptions,
    PrismRunnerOptions,
)
from apache_beam.runners.runner import PipelineState

from mongo_gcp_stream.beam import options as _options  # noqa: F401 -- known to Beam from here on
from mongo_gcp_stream.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import apache_beam as beam
    from apache_beam.runners.runner import PipelineResult

Event = Literal["ended", "asked to end"]


def options_of(arguments: Sequence[str]) -> PipelineOptions:
    """Beam's options, each of them read.

    Raises:
        ConfigError: One has a value that it does not take.
    """
    options = PipelineOptions(list(arguments))
    told = io.StringIO()
    try:
        # It prints all options there are before it says which one is wrong.
        with contextlib.redirect_stderr(told):
            options.get_all_options()
    except SystemExit:
        reason = told.getvalue().strip().rpartition("error: ")[2]
        raise ConfigError(reason, path="options") from None
    return options


def unknown_options(options: PipelineOptions) -> list[str]:
    """The names of options that neither Beam nor any module that is imported knows."""
    everything = options.get_all_options(retain_unknown_options=True)
    return sorted(f"--{name}" for name in everything.keys() - options.get_all_options().keys())


def set_prism(pipeline: beam.Pipeline, program: Path) -> None:
    """Have the PrismRunner start this program: a pipeline keeps a copy of its options."""
    pipeline.options.view_as(PrismRunnerOptions).prism_location = str(program)


class Launched:
    """A pipeline that was started, watched by a thread so that signals reach the main one.

    Args:
        pipeline: What is to run.
        shared_fate: The runner is a child of this process: the Ctrl-C of a terminal reaches it as
            well, and what it does not answer any more has ended.
    """

    def __init__(self, pipeline: beam.Pipeline, *, shared_fate: bool) -> None:
        if shared_fate:
            _ignore_lost_calls()
        self._result: PipelineResult = pipeline.run()
        self._shared_fate = shared_fate
        self._asked = False
        # Unlike an Event it may be used by the handler of a signal.
        self._events: SimpleQueue[Event] = SimpleQueue()
        self._failure: Exception | None = None
        self._watcher = threading.Thread(target=self._watch, name="watch-pipeline", daemon=True)
        self._watcher.start()

    @property
    def job_id(self) -> str:
        """How the runner calls it."""
        result = self._result
        return str(result.job_id() if hasattr(result, "job_id") else result._job_id)  # noqa: SLF001 -- there is no other way

    def ask_to_end(self) -> None:
        """Have `wait` return; for the handler of a signal."""
        self._asked = True
        self._events.put("asked to end")

    def wait(self) -> Event:
        """Wait until the pipeline has ended or is asked to."""
        event: Event | None = None
        # Handlers run between two calls: one that waited for ever could miss a signal.
        while event is None:
            with contextlib.suppress(Empty):
                event = self._events.get(timeout=0.2)
        return "asked to end" if self._asked else event

    def failure(self) -> str | None:
        """Why it failed, in a line, once it has ended; `None` where it did not."""
        return None if self._failure is None else reason_of(str(self._failure))

    def cancel(self) -> None:
        """End the pipeline where it is, and wait for its end; `failure` tells what hinders it."""
        with _silence():
            try:
                self._result.cancel()
            except Exception as error:  # noqa: BLE001 -- told by `failure`
                if not self._shared_fate:
                    self._failure = error
                    return
            self._watcher.join()
        # Portable runners call a cancelled pipeline a failed one. Asking is in vain where the
        # runner has gone with it.
        if self._shared_fate or self._result._state == PipelineState.CANCELLED:  # noqa: SLF001
            self._failure = None

    def _watch(self) -> None:
        try:
            self._result.wait_until_finish()
        except Exception as error:  # noqa: BLE001 -- told by whoever waits
            self._failure = error
        self._events.put("ended")


def reason_of(failure: str) -> str:
    """The last line of a runner's account, which holds tracebacks: what was raised, and why."""
    lines = [line.strip() for line in failure.replace("\\n", "\n").splitlines()]
    raised = [line for line in lines if re.match(r"[A-Za-z_][\w.]*(Error|Exception)\b", line)]
    told = (raised or [line for line in lines if line] or ["no reason was given"])[-1]
    return re.sub(r"^mongo_gcp_stream\.errors\.(\w+): ", "", told)


def how_to_end(job: str, options: PipelineOptions) -> str:
    """The commands that end a job on Dataflow."""
    cloud = options.view_as(GoogleCloudOptions)
    where = f"{job} --project={cloud.project} --region={cloud.region}"
    return (
        f"`gcloud dataflow jobs drain {where}` lets it finish what it has read; with `cancel` "
        "instead of `drain` it ends at once."
    )


def _ignore_lost_calls() -> None:
    """Beam's threads complain of a runner that is gone; who waits for the pipeline is told, too."""
    hook = threading.excepthook

    def told(arguments: threading.ExceptHookArgs) -> None:
        if arguments.exc_type.__module__.partition(".")[0] != "grpc":
            hook(arguments)

    threading.excepthook = told


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Of a pipeline that is cancelled there is more in Beam's log than anybody wants to know."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
