"""`mongo-gcp-stream beam`: what it starts, refuses and says, and how it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import click
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from mongo_gcp_stream.beam.launch import Launched, reason_of, unknown_options
from mongo_gcp_stream.beam.prism import VARIABLE
from mongo_gcp_stream.cli import beam as command
from mongo_gcp_stream.cli import cli
from mongo_gcp_stream.cli.exit_codes import ExitCode

from tests.support.beam_runner import prism_program
from tests.support.runner import PROGRAM
from tests.support.waiting import PATIENCE_SECONDS, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.line import Line


@contextmanager
def beam(line: Line, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The command as a terminal starts it: with what it starts itself in a group of its own."""
    process = subprocess.Popen(
        [str(PROGRAM), "beam", "--config", str(line.config), *arguments],
        env={**os.environ, **line.env, VARIABLE: str(prism_program())},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    told, _ = process.communicate(timeout=PATIENCE_SECONDS)
    return process.returncode, told


def ctrl_c(process: subprocess.Popen[str]) -> None:
    """What a terminal does: Prism gets it as well."""
    os.killpg(process.pid, signal.SIGINT)


@pytest.mark.parametrize("end", [ctrl_c, subprocess.Popen.terminate])
def test_it_streams_until_a_signal_and_goes_on_after_it(
    line: Line, end: Callable[[subprocess.Popen[str]], None]
) -> None:
    orders = line.orders()
    state = line.folder / "positions"
    for resume in ("RESUME_OR_NEW", "RESUME_OR_FAIL"):
        with beam(line, f"--checkpoint={state}", f"--resume={resume}") as process:
            eventually((state / "main.orders.json").exists, "the opening position stored")
            orders.write(50)
            line.pubsub.wait(distinct_event_ids=orders.written)
            end(process)
            code, told = ended(process)
        assert code == 0, told
        assert [line.rpartition(": ")[2] for line in told.splitlines()] == [
            "starting a pipeline on PrismRunner",
            "running",
            "cancelling",
            "ended",
        ]
        orders.write(50)
    with beam(line, f"--checkpoint={state}") as process:
        line.pubsub.wait(distinct_event_ids=orders.written)
    line.assert_delivered(orders)


def test_a_pipeline_that_fails_says_why_in_its_last_lines(line: Line) -> None:
    line.configure(
        uri="mongodb://127.0.0.1:1/",
        monitoring={"connection_timeout": 100},
        error_handling={"max_retries": 0},
    )
    with beam(line) as process:
        code, told = ended(process)
    assert code == 1, told
    *_, error, hint = told.splitlines()
    assert error.startswith("error: main.orders: no server is available")
    assert hint == "hint: --verbose shows what Beam says of it."
    assert "apache_beam.runners" not in "".join(re.findall(r"^\S+Z .*$", told, re.MULTILINE))


@pytest.mark.parametrize(
    ("argument", "reason"),
    [
        ("--max_num_wrokers=5", "no such option: --max_num_wrokers"),
        ("--resume=MAYBE", "argument --resume: invalid choice: 'MAYBE'"),
        ("--collection=users", ""),
    ],
)
def test_options_are_read_before_anything_is_started(
    line: Line, argument: str, reason: str
) -> None:
    if not reason:
        line.config.write_text("mongodb: {}")
        reason = "error: mongodb"
    with beam(line, argument) as process:
        code, told = ended(process)
    assert code == 2, told
    assert reason in told
    assert len(told.splitlines()) <= 3, told


@pytest.mark.parametrize(
    ("runner", "reason"),
    [
        ("DirectRunner", "never ends a read of a stream"),
        ("BundleBasedDirectRunner", "cannot read a stream"),
        ("SparkRunner", "has not been tried"),
    ],
)
def test_a_runner_that_cannot_is_refused_with_the_reason(runner: str, reason: str) -> None:
    with pytest.raises(click.UsageError, match=reason) as caught:
        cli.main(["beam", "--runner", runner], standalone_mode=False)
    assert "PrismRunner, PortableRunner, FlinkRunner or DataflowRunner" in caught.value.message


def test_without_beam_it_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['apache_beam'] = None\n"
        "from mongo_gcp_stream.cli import main; main(['beam', '--config', 'config.yaml'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install 'mongo_gcp_stream[beam]'" in done.stderr


def test_what_a_runner_refuses_is_told(line: Line) -> None:
    nowhere = ("--runner=PortableRunner", "--job_endpoint=127.0.0.1:1", "--job_server_timeout=1")
    with beam(line, *nowhere) as process:
        code, told = ended(process)
    assert code == 2, told
    assert "PortableRunner does not start the pipeline" in told


@pytest.mark.parametrize(
    ("given", "added"),
    [
        ([], ["--max_bundle_size=1", "--max_bundle_time_mills=200"]),
        (["--max_bundle_size=7"], ["--max_bundle_time_mills=200"]),
    ],
)
@pytest.mark.parametrize("runner", ["FlinkRunner", "PortableRunner"])
def test_beside_checkpoints_flink_gets_bundles_that_end(
    runner: str, given: list[str], added: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--checkpointing_interval=500", *given)
    assert command._for_flink(runner, arguments) == added  # noqa: SLF001 -- what it starts with
    assert command._for_flink("PrismRunner", arguments) == []  # noqa: SLF001
    assert not capsys.readouterr().err


def test_flink_without_checkpoints_is_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    assert command._for_flink("FlinkRunner", ()) == []  # noqa: SLF001 -- as above
    assert "--checkpointing_interval: missing" in capsys.readouterr().err


def test_options_of_imported_modules_are_known() -> None:
    assert unknown_options(PipelineOptions(["--nix=1", "--database=shop", "--nought"])) == [
        "--nix",
        "--nought",
    ]


class Signalled:
    """A pipeline that is asked to end by a signal as soon as somebody waits; twice if it hangs."""

    job_id = "2026-01-31_job"

    def __init__(self, *, hangs: bool = False) -> None:
        self._hangs = hangs
        self._event = "ended"

    def ask_to_end(self) -> None:
        self._event = "asked to end"

    def wait(self) -> str:
        signal.raise_signal(signal.SIGINT)
        return self._event

    def cancel(self) -> None:
        assert self._hangs, "a job on Dataflow is left alone"
        signal.raise_signal(signal.SIGINT)


@pytest.fixture
def handlers() -> Iterator[None]:
    """Those of the tests come back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def attend(pipeline: Signalled, runner: str) -> ExitCode:
    options = PipelineOptions(["--project=mine", "--region=europe-west1"])
    code: ExitCode = command._attend(cast("Launched", pipeline), options, runner)  # noqa: SLF001
    return code


@pytest.mark.usefixtures("handlers")
def test_a_job_on_dataflow_goes_on_and_how_to_drain_it_is_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert attend(Signalled(), "DataflowRunner") == ExitCode.CLEAN
    told = capsys.readouterr().err
    job = "2026-01-31_job --project=mine --region=europe-west1"
    assert f"gcloud dataflow jobs drain {job}" in told


@pytest.mark.usefixtures("handlers")
def test_a_second_signal_does_not_wait() -> None:
    with pytest.raises(KeyboardInterrupt):
        attend(Signalled(hangs=True), "PrismRunner")


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (
            "failed: Traceback\n  File x\nmongo_gcp_stream.errors.PublishError: refused. Look.\n",
            "refused. Look.",
        ),
        ("failed:\\nValueError: no number [while running 'Parse']\\n", "ValueError: no number"),
        ("Pipeline job-1 failed in state FAILED: unknown error", "unknown error"),
        ("", "no reason was given"),
    ],
)
def test_the_reason_of_a_failure_is_what_was_raised(failure: str, reason: str) -> None:
    assert re.search(re.escape(reason), reason_of(failure))
    assert "Traceback" not in reason_of(failure)
