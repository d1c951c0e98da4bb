"""docs/operations.md: every row names a test, and the tests are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/operations.md").read_text()
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def test_every_row_names_a_test() -> None:
    rows = [line for line in TEXT.splitlines() if line.startswith("|")]
    rows = [line for line in rows if not re.match(r"\| (---|What happens)", line)]
    assert len(rows) > 25
    assert [row for row in rows if not NAMED.search(row.rsplit("|", 2)[1])] == []


def test_the_tests_that_are_named_are_there() -> None:
    named = NAMED.findall(TEXT)
    assert len(named) > 25
    assert [f"{file}::{name}" for file, name in named if name not in functions(ROOT / file)] == []


def functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text()) if path.exists() else ast.Module([], [])
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
