"""Every cheat sheet runs as it stands, and says what a cheat sheet has to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SHEETS = sorted((Path(__file__).resolve().parents[2] / "cheat_sheets").glob("*.py"))
SECTIONS = ("API", "Patterns", "Best practices")


def test_there_are_cheat_sheets() -> None:
    assert SHEETS


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda sheet: sheet.stem)
def test_a_cheat_sheet_runs_as_it_stands(sheet: Path, tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "PUBSUB_EMULATOR_HOST"}
    ended = subprocess.run(
        [sys.executable, "-W", "error", sheet],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda sheet: sheet.stem)
def test_a_cheat_sheet_has_its_sections_in_their_order(sheet: Path) -> None:
    text = sheet.read_text()
    places = [text.index(f"# ==== {section} ====") for section in SECTIONS]
    assert places == sorted(places)
