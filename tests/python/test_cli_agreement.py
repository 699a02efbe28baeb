"""What the command line and the core both define: durations and exit codes."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mongo_gcp_stream import ConfigError, Runner
from mongo_gcp_stream.cli.duration import MILLIS, Duration
from mongo_gcp_stream.cli.exit_codes import OF_RUN, ExitCode

if TYPE_CHECKING:
    from tests.support.line import Line

ROOT = Path(__file__).resolve().parents[2]

CONFIG = """\
mongodb:
  connections:
    main: {{uri: 'mongodb://127.0.0.1:9', sources: {{orders: {{database: shop}}}}}}
gcp: {{project_id: some-project}}
pubsub: {{topics: {{default: {{name: shop-changes}}}}}}
checkpoint: {{store: memory}}
shutdown: {{drain_timeout: '{}'}}
"""

QUANTITIES = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["", " "]),
        st.from_regex(r"[0-9]{0,4}(\.[0-9]{0,3})?", fullmatch=True),
        st.sampled_from(["", " "]),
        st.sampled_from(["", "ms", "s", "m", "h", "d", "S", "H", "us"]),
        st.sampled_from(["", " "]),
    ),
)


def taken_by_the_command_line(text: str) -> bool:
    try:
        Duration().convert(text, None, None)
    except click.BadParameter:
        return False
    return True


def taken_by_the_configuration(text: str, folder: Path) -> bool:
    config = folder / "config.yaml"
    config.write_text(CONFIG.format(text))
    try:
        Runner(str(config))
    except ConfigError as error:
        if error.path != "shutdown.drain_timeout":
            raise
        return False
    return True


def test_units_are_those_of_the_core() -> None:
    source = (ROOT / "src" / "config" / "units.rs").read_text()
    (table,) = re.findall(r"\nconst DURATION_UNITS: [^=]*= &\[(.*?)\];", source, re.DOTALL)
    units = {
        name: int(millis.replace("_", ""))
        for name, millis in re.findall(r'\("(\w+)", ([\d_]+)\)', table)
    }
    assert units
    # A bare number has the unit of its key in the configuration; on the command line, seconds.
    assert {**units, "": units["s"]} == MILLIS


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=QUANTITIES)
def test_what_the_configuration_takes_the_command_line_takes(text: str, tmp_path: Path) -> None:
    assert taken_by_the_command_line(text) == taken_by_the_configuration(text, tmp_path)


@pytest.mark.parametrize("text", ["18446744073709551615ms", "18446744073709551616ms", "٣s", "1e3s"])
def test_they_agree_at_the_edges(text: str, tmp_path: Path) -> None:
    assert taken_by_the_command_line(text) == taken_by_the_configuration(text, tmp_path)


def test_every_exit_code_of_a_run_has_a_meaning_in_the_help() -> None:
    assert OF_RUN.keys() == set(ExitCode)


def test_a_run_that_is_stopped_is_clean_unless_it_was_to_catch_up(line: Line) -> None:
    runner = Runner(str(line.config))
    runner.stop()
    assert runner.run().exit_code == ExitCode.CLEAN
    runner = Runner(str(line.config))
    runner.stop()
    assert runner.run(until_caught_up=True).exit_code == ExitCode.NOT_CAUGHT_UP


def test_a_run_that_fails(line: Line) -> None:
    line.configure(uri="mongodb://127.0.0.1:9/", monitoring={"connection_timeout": 200})
    report = Runner(str(line.config)).run(until_caught_up=True)
    assert report.exit_code == ExitCode.FAILED
    assert [failure.stream for failure in report.failures] == ["main.orders"]


def test_a_run_whose_time_is_over(line: Line) -> None:
    report = Runner(str(line.config)).run(until_caught_up=True, timeout_ms=0)
    assert report.exit_code == ExitCode.NOT_CAUGHT_UP


def test_a_drain_that_misses_its_deadline(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in line.env.items():
        monkeypatch.setenv(name, value)
    line.prepare()
    line.orders().write(5)
    line.pubsub.fault("status", times=-1)
    line.configure(shutdown={"drain_timeout": "100ms"})
    runner = Runner(str(line.config))

    def stop_when_refused() -> None:
        line.pubsub.wait(faults=1)
        runner.stop()

    stopper = threading.Thread(target=stop_when_refused)
    stopper.start()
    report = runner.run()
    stopper.join()
    assert report.exit_code == ExitCode.DRAIN_MISSED
