"""A real run divides its cluster as the simulator does: the same function, the same workers, the same requests."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import pytest

from cluster.local import FAKE
from models.families.registry import FAMILIES
from pipeline.forecast.cluster_spec import parse_cluster
from pipeline.forecast.forecast import allocation_of, limits_of
from pipeline.on_ray.connection import SCRATCH
from tests.conftest import write_manifest
from tests.support.clusters.ray_head import head

TITLES = 3
SPEC = "{chain: {workers: 1}, upscale: {workers: 2}, plain: {workers: 1, cores: 4, scratch: 9}}"


@pytest.mark.slow
def test_a_run_is_laid_out_as_it_is_simulated(tmp_path: Path) -> None:
    """On one node with three accelerators that are none, and four cores that count as those of a plain machine."""
    manifest, facts = write_manifest(tmp_path, [480] * TITLES), tmp_path / "facts.json"
    asked = ["--chains", "1", "--upscalers", "2", "--cores", "4", "--scratch", "9"]
    offered = ["--num-gpus=3", f'--resources={{"{SCRATCH}": 9}}']
    with head(8, *offered, "--include-dashboard=false", environment={FAKE: "1"}) as address:
        command = [sys.executable, "-m", "tests.support.noted_layout", str(facts), str(manifest), "--address", address]
        assert subprocess.run([*command, *asked]).returncode == 0
    run = json.loads(facts.read_text())
    spec, family = parse_cluster(SPEC, "spec"), FAMILIES["fake"]
    simulated = allocation_of(spec, family, TITLES, family.lanes, largest=1)
    assert run["shares"] == {role: asdict(share) for role, share in simulated.shares.items()}
    assert run["limits"] == asdict(limits_of(spec, family, TITLES, family.lanes, largest=1))
    for role, given in run["workers"]:
        share = simulated.shares[role]
        found = tuple(given.get(name, 0.0) for name in ("CPU", "GPU", SCRATCH))
        assert found == (share.cpus, share.gpus, share.scratch), role
    count = Counter(role for role, _ in run["workers"])
    assert (count["chain"], count["upscale"]) == (1, 2)
    assert 1 <= count["prepare"] <= simulated.limits.prepare == 3
    assert count["publish"] == simulated.limits.publish == 1
