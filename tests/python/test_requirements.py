"""The table of requirements: every number once, and every test and page that it names is there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TABLE = (ROOT / "tests" / "README.md").read_text().partition("## Which test shows")[2]
ROWS = re.findall(r"^\| (.+) \| `([^`]+)` \|$", TABLE, re.MULTILINE)
NUMBERS = 37


def test_every_number_has_its_row() -> None:
    numbers = [int(number) for number in re.findall(r"^\| R(\d+) \|", TABLE, re.MULTILINE)]
    assert numbers == list(range(1, NUMBERS + 1))


@pytest.mark.parametrize("place", sorted({place for _, place in ROWS}))
def test_what_a_row_names_is_there(place: str) -> None:
    file, _, name = place.partition("::")
    if not file.startswith(("docs/", "tests/")) and file.endswith(".py"):
        path = ROOT / "tests" / file
    else:
        path = ROOT / file
    assert path.is_file()
    assert not name or name in _functions(path)


@cache
def _functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
