"""The corpus of hostile files: every one ends as it should, in bounded time and memory, touching nothing else.

All of them run in processes of their own, forked one after another by one that has loaded what they need; what each did
is judged there.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.hostile.corpus import CASES
from benchmarks.hostile.guard import Result

WITHIN = 540.0  # seconds, on a machine that has much else to do


@pytest.fixture(scope="module")
def results() -> dict[str, Result]:
    command = [sys.executable, "-m", "benchmarks.hostile", "--json"]
    printed = subprocess.run(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True, timeout=WITHIN)
    found = [Result(**json.loads(line)) for line in printed.stdout.splitlines() if line.startswith("{")]
    return {result.name: result for result in found}


@pytest.mark.parametrize("name", [case.name for case in CASES])
def test_hostile(name: str, results: dict[str, Result]) -> None:
    assert results[name].wrong == [], results[name].said


def test_the_corpus_is_large_and_its_names_are_its_own() -> None:
    names = [case.name for case in CASES]
    assert len(names) >= 60
    assert len(set(names)) == len(names)
    assert {case.group for case in CASES} == {"manifests", "images", "sounds", "arrays", "weights", "stored", "places"}
