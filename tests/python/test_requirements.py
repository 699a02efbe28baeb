"""The tables of requirements and defects: each number once, each test and page named is there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TABLE = (ROOT / "tests" / "README.md").read_text().partition("## Which test shows")[2]
ROWS = re.findall(r"^\| ([RD])(\d+) \| .+ \| (`[^|]+`) \|$", TABLE, re.MULTILINE)
REQUIREMENTS = 37
DEFECTS = 14
PLACES = {place for *_, places in ROWS for place in re.findall(r"`([^`]+)`", places)}


@pytest.mark.parametrize(("letter", "count"), [("R", REQUIREMENTS), ("D", DEFECTS)])
def test_every_number_has_its_row(letter: str, count: int) -> None:
    numbers = [int(number) for kind, number, _ in ROWS if kind == letter]
    assert numbers == list(range(1, count + 1))


def test_there_is_no_row_besides() -> None:
    rows = [row for row in TABLE.split("\n") if row.startswith("| ")]
    heads = [row for row in rows if row.startswith(("| number |", "| --- |"))]
    assert len(rows) - len(heads) == len(ROWS)


@pytest.mark.parametrize("place", sorted(PLACES))
def test_what_a_row_names_is_there(place: str) -> None:
    file, _, name = place.partition("::")
    path = ROOT / "tests" / file if file.endswith((".py", ".rs")) else ROOT / file
    assert path.is_file()
    assert not name or name in _functions(path)


@cache
def _functions(path: Path) -> set[str]:
    text = path.read_text()
    if path.suffix == ".rs":
        return set(re.findall(r"^#\[test\]\nfn (\w+)\(", text, re.MULTILINE))
    tree = ast.parse(text)
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
