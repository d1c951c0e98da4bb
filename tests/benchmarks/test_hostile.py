"""The corpus of hostile files: every one ends as it should, in bounded time and memory, touching nothing else.

All of them run in processes of their own, forked by two that share the work; what each did is judged there.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.hostile.corpus import CASES
from benchmarks.hostile.guard import Result

HALVES = 2
WITHIN = 540.0  # seconds, on a machine that has much else to do


@pytest.fixture(scope="module")
def results() -> dict[str, Result]:
    command = [sys.executable, "-m", "benchmarks.hostile", "--json"]
    root = Path(__file__).parents[2]
    running = [
        subprocess.Popen([*command, "--part", f"{half}/{HALVES}"], cwd=root, stdout=subprocess.PIPE, text=True)
        for half in range(HALVES)
    ]
    printed = [process.communicate(timeout=WITHIN)[0] for process in running]
    found = [Result(**json.loads(line)) for text in printed for line in text.splitlines() if line.startswith("{")]
    return {result.name: result for result in found}


@pytest.mark.parametrize("name", [case.name for case in CASES])
def test_hostile(name: str, results: dict[str, Result]) -> None:
    assert results[name].wrong == [], results[name].said


def test_the_corpus_is_large_and_its_names_are_its_own() -> None:
    names = [case.name for case in CASES]
    assert len(names) >= 60
    assert len(set(names)) == len(names)
    assert {case.group for case in CASES} == {"manifests", "images", "sounds", "arrays", "weights", "stored", "places"}
