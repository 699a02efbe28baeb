"""The demo, as a user runs it, and that it leaves nothing behind."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest
from mongo_gcp_stream.beam.prism import VARIABLE

from tests.support.beam_runner import prism_program
from tests.support.runner import Process
from tests.support.waiting import eventually


def demo(folder: Path, *arguments: str) -> Process:
    env = {"TMPDIR": str(folder), VARIABLE: str(prism_program())}
    return Process("demo", *arguments, env=env)


@pytest.mark.parametrize("line", [[], ["--beam"]], ids=["line", "beam"])
def test_the_account_balances(tmp_path: Path, line: list[str]) -> None:
    with demo(tmp_path, "--events", "300", "--rate", "300", *line) as process:
        assert process.wait() == 0, process.stderr
    output = process.stdout
    assert re.search(r"written +300 \(\d+ inserts, \d+ updates\)", output)
    assert re.search(r"delivered +300\n", output)
    assert re.search(r"missing +0\n", output)
    assert re.search(r"order kept +yes", output)
    assert re.search(r"latency +p50 [\d.]+ ms, p99 [\d.]+ ms", output)
    assert "shop.orders" in output
    assert not left_behind(tmp_path)


def left_behind(folder: Path) -> list[Path]:
    """What is still there; Beam itself leaves folders of its job."""
    return [path for path in folder.iterdir() if path.name.startswith("mongo")]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("line", [[], ["--beam"]], ids=["line", "beam"])
def test_ended_early_it_accounts_for_what_was_written(
    tmp_path: Path, line: list[str], number: signal.Signals
) -> None:
    with demo(tmp_path, "--events", "100000", *line) as process:
        process.wait_for_line(r"delivered +[1-9]")
        process.signal(number)
        assert process.wait() == 0, process.stderr
    assert re.search(r"missing +0\n", process.stdout)
    assert not left_behind(tmp_path)


def test_killed_it_leaves_nothing_behind(tmp_path: Path) -> None:
    with demo(tmp_path, "--events", "100000") as process:
        process.wait_for_line(r"delivered +[1-9]")
        (lock,) = tmp_path.glob("mongod-*/data/mongod.lock")
        pid = int(lock.read_text())
        process.kill()
    eventually(lambda: not list(tmp_path.iterdir()), "the temporary folders gone")
    eventually(lambda: not Path(f"/proc/{pid}").exists(), "mongod gone")
