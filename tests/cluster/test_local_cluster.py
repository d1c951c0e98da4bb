"""The cluster for trying things out: several nodes, accelerators that are none, and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import verify
from tests.conftest import write_manifest
from tests.support.leftovers import GONE_WITHIN, alive, descendants

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
ENDS_WITHIN = 240.0  # seconds, on a busy machine


def start(*words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "cluster.local", *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, text=True, stdout=pipe, stderr=subprocess.STDOUT, env={**os.environ})


def test_a_catalog_renders_on_it_and_nothing_stays(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path, [60, 100], output=str(tmp_path / "out"))
    process = start("--nodes", "2", "--", sys.executable, "-m", "pipeline.render", str(manifest))
    said, _ = process.communicate(timeout=ENDS_WITHIN)
    assert process.returncode == 0, said
    assert "The cluster is gone." in said
    assert verify.run([str(tmp_path / "out")]) == 0


def test_it_says_how_to_use_it_and_stops_on_a_signal() -> None:
    process = start("--nodes", "1")
    assert process.stdout
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("Ctrl-C"):
            break
    text = "".join(lines)
    assert "RAY_ADDRESS=" in text, text
    assert "python -m pipeline.render" in text
    processes = descendants(process.pid)
    assert any("raylet" in name for name in processes.values())
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=GONE_WITHIN + 60)
    assert process.returncode == 0
    assert not alive(processes)


BLIND = """
import os, sys
import ray
from pipeline import render
from pipeline.on_ray import connection

def reads(path):
    return os.path.exists(path) and "spot" not in ray.get_runtime_context().get_node_labels().values()

connection._reads = reads  # as if the second node had a disk of its own
sys.exit(render.run(sys.argv[1:]))
"""


def test_an_output_that_one_node_does_not_see_is_refused(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path, [60], output=str(tmp_path / "out"))
    process = start("--nodes", "2", "--", sys.executable, "-c", BLIND, str(manifest))
    said, _ = process.communicate(timeout=ENDS_WITHIN)
    assert process.returncode == 2, said
    assert f"output {tmp_path / 'out'}: not seen by" in said
    assert "use a shared folder or an object store" in said
    assert not list((tmp_path / "out").glob("title-0/*/*/*")), "something was rendered"
