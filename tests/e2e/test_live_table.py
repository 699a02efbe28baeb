"""`mongo-gcp-stream run` on a terminal."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

from mongo_gcp_stream.cli.exit_codes import ExitCode

from tests.support.line import STREAM
from tests.support.runner import PROGRAM
from tests.support.terminal import OnTerminal

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.line import Line

SUMMARY = "1 stream: 1 "


def on_terminal(line: Line, *arguments: str, stderr: Path | None = None) -> OnTerminal:
    command: list[str | Path] = [PROGRAM, "run", "--config", line.config, *arguments]
    return OnTerminal(command, env=line.env, stderr=stderr)


def test_the_table_follows_the_stream_and_says_that_it_drains(line: Line) -> None:
    line.prepare()
    line.configure(monitoring={"report_interval": "100ms"})
    orders = line.orders()
    orders.write(500)
    with on_terminal(line) as terminal:
        line.wait_until_delivered(orders)
        terminal.wait_for(f"{STREAM} +streaming")
        terminal.wait_for(f"{STREAM} +streaming +[1-9]")
        terminal.signal(signal.SIGINT)
        terminal.wait_for("draining: ")
        assert terminal.wait() == ExitCode.CLEAN
        terminal.wait_for(f"{STREAM} +stopped")
    # The table shows what these lines would repeat.
    assert "mongo_gcp_stream::statistics" not in terminal.text
    line.assert_delivered(orders)


def test_a_failure_is_in_the_table_and_below_it(line: Line) -> None:
    line.prepare()
    line.orders().write(1)
    line.configure(pubsub={"topics": {"default": {"name": "no-such-topic"}}})
    with on_terminal(line, "--until-caught-up") as terminal:
        assert terminal.wait() == ExitCode.FAILED
    assert f"last error {STREAM}" in terminal.text
    assert terminal.text.rindex("hint: ") > terminal.text.rindex("last error")


def test_no_table_when_asked_for_none(line: Line) -> None:
    with on_terminal(line, "--until-caught-up", "--no-table") as terminal:
        assert terminal.wait() == ExitCode.CLEAN
    assert SUMMARY not in terminal.text
    assert "mongo_gcp_stream::statistics" in terminal.text


def test_no_table_among_lines_of_json(line: Line) -> None:
    line.configure(logging={"format": "json"})
    with on_terminal(line, "--until-caught-up") as terminal:
        assert terminal.wait() == ExitCode.CLEAN
    assert all(json.loads(text) for text in terminal.text.splitlines() if text)


def test_a_table_on_the_terminal_and_json_in_a_file(line: Line, tmp_path: Path) -> None:
    line.configure(logging={"format": "json", "level": "debug"})
    log = tmp_path / "run.log"
    with on_terminal(line, "--until-caught-up", stderr=log) as terminal:
        assert terminal.wait() == ExitCode.CLEAN
    assert SUMMARY in terminal.text
    assert all(json.loads(text) for text in log.read_text().splitlines())
