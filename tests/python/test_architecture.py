"""The shape of the source tree: what ARCHITECTURE.md says of it, and the limits that it keeps."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("src", "python", "tests", "benches", "cheat_sheets", "docker")
NOT_OURS = {"target", "__pycache__", ".venv"}
FORBIDDEN = {"utils", "common", "helper", "handler", "processor"}
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60

# The path of an event, as the rows of the table must tell it, in this order.
STEPS = (
    "load the checkpoint",
    "open the source",
    "next batch",
    "acquire budget",
    "transform",
    "batch",
    "publish",
    "receipt",
    "tracker",
    "committer",
)

# Comments, strings and character literals: braces in them are none. A lifetime is no literal.
_RUST_TEXT = re.compile(
    r"//[^\n]*|/\*.*?\*/"
    r'|\b[bc]?r(#*)".*?"\1'
    r'|"(?:\\.|[^"\\])*"'
    r"|'(?:\\[^\n']+|\\'|[^\\'\n])'",
    re.DOTALL,
)
_GO_TEXT = re.compile(
    r"//[^\n]*|/\*.*?\*/|`[^`]*`"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'(?:\\'|\\[^'\n]+|[^\\'\n])'",
    re.DOTALL,
)
_RUST_FUNCTION = re.compile(r"\bfn\s+(\w+)")
_GO_FUNCTION = re.compile(r"^func\s+(?:\([^)]*\)\s*)?(\w+)", re.MULTILINE)


@cache
def sources() -> tuple[Path, ...]:
    """Every source file in Rust, Python and Go."""
    return tuple(
        path
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in {".rs", ".py", ".pyi", ".go"}
        and not NOT_OURS & set(path.relative_to(ROOT).parts)
    )


@cache
def functions(path: Path) -> tuple[tuple[str, int], ...]:
    """Name and number of lines of every function in a file; 0 for one without a body."""
    text = path.read_text()
    if path.suffix == ".rs":
        return tuple(_with_braces(_blank(text, _RUST_TEXT), _RUST_FUNCTION))
    if path.suffix == ".go":
        return tuple(_with_braces(_blank(text, _GO_TEXT), _GO_FUNCTION))
    return tuple(
        (node.name, (node.end_lineno or node.lineno) - node.lineno + 1)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def _blank(text: str, literals: re.Pattern[str]) -> str:
    """Take out what is not code, and keep the line breaks."""
    return literals.sub(lambda found: "\n" * found[0].count("\n"), text)


def _with_braces(code: str, function: re.Pattern[str]) -> Iterator[tuple[str, int]]:
    for found in function.finditer(code):
        yield found[1], code.count("\n", found.start(), _end(code, found.end())) + 1


def _end(code: str, start: int) -> int:
    """Where the body ends that begins after `start`: at its brace, or at `;` for a declaration."""
    depth = {"(": 0, "[": 0, "{": 0}
    opening = {")": "(", "]": "[", "}": "{"}
    for place in range(start, len(code)):
        sign = code[place]
        if sign in depth:
            depth[sign] += 1
        elif sign in opening:
            depth[opening[sign]] -= 1
            if sign == "}" and not any(depth.values()):
                return place
        elif sign == ";" and not any(depth.values()):
            return start
    raise ValueError("a body without an end")


def path_of_an_event() -> list[tuple[str, str, str]]:
    """Step, file and function of each row of the table in ARCHITECTURE.md."""
    text = (ROOT / "ARCHITECTURE.md").read_text()
    return re.findall(r"^\| ([^|]+) \| `(src/[^`]+)` \| `(\w+)` \|$", text, re.MULTILINE)


def test_every_step_names_a_function_that_exists() -> None:
    missing = [
        f"{step}: {function} in {file}"
        for step, file, function in path_of_an_event()
        if not (ROOT / file).is_file() or function not in dict(functions(ROOT / file))
    ]
    assert not missing, "rows of ARCHITECTURE.md without a function"


def test_the_table_tells_the_whole_path_in_order() -> None:
    steps = iter(step for step, _, _ in path_of_an_event())
    missing = [word for word in STEPS if not any(step.startswith(word) for step in steps)]
    assert not missing, "steps that ARCHITECTURE.md does not name, or not in their order"


def test_no_file_is_too_long() -> None:
    lengths = {path.relative_to(ROOT): len(path.read_text().splitlines()) for path in sources()}
    assert len(lengths) > 50, "the source tree was not found"
    assert not {path: lines for path, lines in lengths.items() if lines > MAX_FILE_LINES}


def test_no_function_is_too_long() -> None:
    counted = [
        (f"{path.relative_to(ROOT)}: {name}", lines)
        for path in sources()
        for name, lines in functions(path)
    ]
    assert len(counted) > 300, "the functions were not found"
    assert not [(name, lines) for name, lines in counted if lines > MAX_FUNCTION_LINES]


def test_modules_are_named_for_what_they_do() -> None:
    named = [
        path.relative_to(ROOT)
        for path in sources()
        if FORBIDDEN & {path.stem, *path.relative_to(ROOT).parts}
    ]
    assert not named


def test_links_between_documents_lead_somewhere() -> None:
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("*/README.md")]
    broken = [
        f"{document.relative_to(ROOT)}: {link}"
        for document in documents
        for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text())
        if "://" not in link and not (document.parent / link).exists()
    ]
    assert not broken


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("fn a() {\n}\n", [("a", 2)]),
        ("fn a(b: [u8; 2]) -> char {\n\"}\"; '}'; // }\n'x: loop {}\n}\n", [("a", 4)]),
        ("trait A {\n    fn a(&self)\n    -> u8;\n    fn b() {\n    }\n}\n", [("a", 1), ("b", 2)]),
        ('fn a() {\n    r#"}"}"#;\n    b\'{\';\n    fn b() {}\n}\n', [("a", 5), ("b", 1)]),
    ],
)
def test_rust_functions_are_measured_by_their_braces(
    code: str, expected: list[tuple[str, int]], tmp_path: Path
) -> None:
    path = tmp_path / "code.rs"
    path.write_text(code)
    assert list(functions(path)) == expected
