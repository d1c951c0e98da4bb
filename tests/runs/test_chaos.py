"""Everything that can die dies: workers, machines, the driver, the store's answers; the frames stay the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SLACK = 480.0  # seconds beside the faults' own time: starting, the last round, the comparison, on a busy machine


def chaos(minutes: float, *more: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.chaos", f"--minutes={minutes}", "--seed=1", "--json", *more]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        said, complaint = process.communicate(timeout=60 * minutes + SLACK)
    finally:
        process.terminate()  # it ends all that it started; nothing where it has ended
        process.wait()
    assert said.strip(), complaint
    return json.loads(said.splitlines()[-1])


def check(found: dict[str, Any], kinds: int, faults: int) -> None:
    print(found)
    assert found["different"] == []
    assert found["lost"] == []
    assert found["verified"]
    assert found["good"]
    assert found["compared"] > 40
    assert len(found["faults"]) >= kinds
    assert sum(found["faults"].values()) >= faults


def test_a_little_chaos_changes_no_frame() -> None:
    check(chaos(0.4, "--small"), kinds=2, faults=2)


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_three_minutes_of_chaos_change_no_frame() -> None:
    check(chaos(3), kinds=5, faults=12)
