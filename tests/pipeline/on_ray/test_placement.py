"""Chains go to machines on demand and upscalers to spot ones, where there are any, and else wherever there is room."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PLACE = """
import json, os, sys
import ray
from pipeline.on_ray.placement import placement_options
ray.init(address=os.environ["RAY_ADDRESS"], log_to_driver=False, logging_level="ERROR")

class Where:
    def market(self):
        return ray.get_runtime_context().get_node_labels().get("ray.io/market-type", "none")

# As many as there are places: those that come after find their kind full.
actors = [(role, ray.remote(Where).options(num_cpus=1, **placement_options(role)).remote()) for role in sys.argv[1:]]
print(json.dumps([[role, ray.get(actor.market.remote(), timeout=60)] for role, actor in actors]))
"""


def placed(said: str) -> list[list[str]]:
    return json.loads(next(line for line in said.splitlines() if line.startswith("[[")))


@pytest.mark.slow
def test_each_kind_of_worker_has_its_machines_and_then_any() -> None:
    """Two nodes of two cores: the first on demand, the other spot."""
    command = [sys.executable, "-m", "cluster.local", "--nodes", "2", "--cpus", "2", "--accelerators", "0", "--"]
    command += [sys.executable, "-c", PLACE, "upscale", "chain", "chain", "chain"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert placed(done.stdout) == [
        ["upscale", "spot"],
        ["chain", "on-demand"],
        ["chain", "on-demand"],
        ["chain", "spot"],
    ]


def test_machines_without_labels_do_as_well(ray_address: Callable[[int], str]) -> None:

    done = subprocess.run(
        [sys.executable, "-c", PLACE, "chain", "upscale", "publish"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "RAY_ADDRESS": ray_address(4)},
    )
    assert done.returncode == 0, done.stderr
    assert placed(done.stdout) == [["chain", "none"], ["upscale", "none"], ["publish", "none"]]
