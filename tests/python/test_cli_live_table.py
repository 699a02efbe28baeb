"""The live table of `run`: what it says, and how it shares a terminal with the log."""

from __future__ import annotations

import io
import re
import signal
import sys
from typing import TYPE_CHECKING

import pytest
from mongo_gcp_stream.cli.live_table import StreamRow, render
from rich.console import Console

from tests.support.table_scene import Row
from tests.support.terminal import HIDE_CURSOR, SHOW_CURSOR, OnTerminal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SCENE = (sys.executable, "-m", "tests.support.table_scene")


def drawn(streams: Mapping[str, StreamRow], *, height: int = 24, draining: bool = False) -> str:
    console = Console(file=io.StringIO(), width=140, height=height, color_system=None)
    console.print(render(streams, height=height, now=1000.0, draining=draining))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_row_has_rate_lag_in_flight_retries_and_state() -> None:
    row = Row(state="backing_off", events_per_second=1234.4, lag=75.0, in_flight=5000, retries=7)
    text = drawn({"main.orders": row})
    (line,) = (line for line in text.splitlines() if line.startswith("main.orders"))
    assert line.split() == ["main.orders", "backing", "off", "1,234", "1.2", "min", "5,000", "7"]


def test_the_worst_come_first_and_the_summary_tells_of_the_rest() -> None:
    streams = {f"main.s{number:03}": Row(events_per_second=2, lag=number) for number in range(200)}
    streams["main.broken"] = Row(state="failed")
    streams["main.waiting"] = Row(state="backing_off", lag=None)
    text = drawn(streams, height=20)
    lines = text.splitlines()
    assert len(lines) < 20
    assert lines[0].startswith(
        "202 streams (below: the 13 that need attention most): "
        "1 failed, 1 backing off, 200 streaming · 400 events/s"
    )
    first = [line.split()[0] for line in lines[2:6]]
    assert first == ["main.broken", "main.waiting", "main.s199", "main.s198"]


def test_a_lag_that_is_not_known_is_not_called_none() -> None:
    assert "?" in drawn({"main.orders": Row(lag=None)})


@pytest.mark.parametrize(
    ("lag", "said"), [(0.04, "0.0 s"), (59.0, "59.0 s"), (90.0, "1.5 min"), (7200.0, "2.0 h")]
)
def test_lag_in_the_unit_that_reads_best(lag: float, said: str) -> None:
    assert said in drawn({"main.orders": Row(lag=lag)})


def test_the_last_error_of_any_stream_stands_below() -> None:
    streams = {
        "a.one": Row(last_error="first [bold]", last_error_time=900.0),
        "b.two": Row(last_error="then [bold] this", last_error_time=990.0),
        "c.three": Row(),
    }
    assert drawn(streams).splitlines()[-1] == "last error b.two, 10.0 s ago: then [bold] this"


def test_a_drain_is_announced() -> None:
    assert drawn({"a.one": Row()}, draining=True).startswith("draining: ")


def test_no_stream_is_no_reason_to_fail() -> None:
    assert drawn({}).startswith("0 streams")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_log_lines_stay_whole_above_the_table(number: signal.Signals) -> None:
    with OnTerminal(SCENE, size=(20, 100)) as terminal:
        terminal.wait_for(r"line 30 begins")
        assert "other.orders  backing off" in terminal.text
        assert "last error other.orders" in terminal.text
        assert "draining" not in terminal.text
        terminal.signal(number)
        terminal.wait_for("draining: ")
        assert terminal.wait() == 0
    lines = [line for line in terminal.text.splitlines() if re.search(r"\bline\b", line)]
    assert lines[-1] == "the last line"
    whole = [f"line {count + 1} begins and ends [not markup]" for count in range(len(lines) - 1)]
    assert lines[:-1] == whole
    assert terminal.text.rstrip().endswith("over")


def test_the_table_is_drawn_anew() -> None:
    with OnTerminal(SCENE) as terminal:
        terminal.wait_for("main.s0 +streaming +2 ")
        terminal.wait_for("main.s0 +streaming +4 ")


def test_the_cursor_is_there_whenever_the_process_dies() -> None:
    with OnTerminal(SCENE) as terminal:
        terminal.wait_for("line 5 ")
        terminal.signal(signal.SIGKILL)
        terminal.wait()
    assert terminal.raw.rfind(SHOW_CURSOR) > terminal.raw.rfind(HIDE_CURSOR)


def test_a_log_in_a_file_is_left_alone(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    with OnTerminal(SCENE, stderr=log) as terminal:
        terminal.wait_for("main.s0 +streaming +4 ")
        terminal.signal(signal.SIGINT)
        assert terminal.wait() == 0
    assert "line 1 begins" not in terminal.text
    assert log.read_text().startswith("line 1 begins and ends [not markup]\n")
