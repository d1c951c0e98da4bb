"""Training under Ray Train, on a cluster of two workers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from tests.models.training.test_peers import by_hand, tiny


@pytest.mark.slow
def test_two_workers_average_their_gradients_and_go_on(tmp_path: Path, ray_address: Callable[[int], str]) -> None:
    """Through the command, stopped after a step and resumed; the result is that of the same arithmetic done here."""
    address = ray_address(4)
    settings = tiny(tmp_path / "run")
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(asdict(settings)))

    def command(*more: str) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "actors.train", str(config), "--workers", "2", "--address", address, *more]
        root = Path(__file__).parents[2]
        return subprocess.run(words, capture_output=True, text=True, timeout=300, cwd=root, env=dict(os.environ))

    first = command("--minutes", "0")
    assert first.returncode == 0, first.stderr[-3000:]
    assert "stopped at step 1 of 4" in first.stderr
    second = command()
    assert second.returncode == 0, second.stderr[-3000:]
    lines = [json.loads(line) for line in (tmp_path / "run" / "curve.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [1, 2, 3, 4]
    expected = by_hand(tiny(tmp_path / "here"))
    found = load_file(tmp_path / "run" / "step-00000004" / "network.safetensors")
    assert found.keys() == expected.keys()
    assert all(torch.allclose(found[name], expected[name], atol=1e-5) for name in found)
    kept = list((tmp_path / "ray" / "longtake-enlarger-run").rglob("network.safetensors"))
    assert kept, "no copy of a checkpoint in the storage"

    many = command("--out", str(tmp_path / "many"), "--threads", "9")
    assert many.returncode == 2
    assert "need 18 CPUs and the cluster has 4" in many.stderr
    assert "Traceback" not in many.stderr
