"""`docs/guide/cli.md` says what `--help` says.

`UPDATE_GENERATED=1 pytest tests/python/test_cli_guide.py` writes it anew.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from tests.support.commands import PROGRAM_NAME, commands, every_help, examples

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guide" / "cli.md"

BEGINNING = """\
# Command line

Every command as its `--help` tells it. This page is made from there: what is to be changed is
changed in `python/mongo_gcp_stream/cli`, and `UPDATE_GENERATED=1 pytest
tests/python/test_cli_guide.py` writes it anew. A test runs every example.

Messages and logs go to standard error, results to standard output. With `logging.format: json`
every line on standard error is a JSON object, errors included, from the moment at which the
configuration has been read; a configuration that cannot be read is refused in plain text.
"""


def page() -> str:
    sections = (f"## `{name}`\n\n```text\n{text}\n```\n" for name, text in every_help())
    return "\n".join((BEGINNING, *sections))


def test_the_page_is_fresh() -> None:
    if os.environ.get("UPDATE_GENERATED"):
        GUIDE.write_text(page())
    assert GUIDE.read_text() == page(), (
        "stale: UPDATE_GENERATED=1 pytest tests/python/test_cli_guide.py"
    )


def test_every_command_says_how_it_can_end() -> None:
    texts = dict(every_help())
    assert not [name for name in commands() if "Exit codes:" not in texts[f"{PROGRAM_NAME} {name}"]]


def test_no_help_shows_what_click_was_to_take() -> None:
    assert not [name for name, text in every_help() if "\\b" in text]


def test_examples_stand_on_lines_of_their_own() -> None:
    texts = dict(every_help())
    for name, command in commands().items():
        shown = re.sub(r"\\\n\s*", "", texts[f"{PROGRAM_NAME} {name}"])
        assert set(examples(command)) <= {line.strip() for line in shown.splitlines()}
