"""The main job as a cluster's user submits it: `ray job submit` against a cluster with its dashboard, output on S3."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.store import open_store
from tests.conftest import write_manifest
from tests.ray_head import free_port, head
from tests.s3 import S3Server

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
TAKES_JOBS_WITHIN = 60.0  # seconds


def submit(dashboard: int, *entrypoint: str) -> subprocess.CompletedProcess[str]:
    """Submit the command and wait for its end; a cluster that has just started may not take jobs yet."""
    command = [str(Path(sys.executable).with_name("ray")), "job", "submit", f"--address=http://127.0.0.1:{dashboard}"]
    command += ["--working-dir", ".", "--", sys.executable, "-m", "pipeline.render", *entrypoint]
    deadline = time.monotonic() + TAKES_JOBS_WITHIN
    while True:
        job = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
        if "No available agent to submit job" not in job.stderr or time.monotonic() > deadline:
            return job
        time.sleep(1)


def test_a_submitted_job_renders_to_s3(tmp_path: Path, s3: S3Server) -> None:
    """Credentials come from the nodes' own environment, the code from the uploaded working folder."""
    manifest = write_manifest(tmp_path, [{"id": "one", "frames": 60}, {"id": "two", "frames": 97}])
    port = free_port()
    with head(2, "--include-dashboard=true", f"--dashboard-port={port}"):
        output = s3.url()
        job = submit(port, str(manifest), "--output", output)
        assert job.returncode == 0, job.stdout + job.stderr
        store = open_store(output)
        for title in ("one", "two"):
            assert store.exists(f"{title}/final.mp4")
        vanishing = submit(port, str(manifest), "--output", "out")
        assert vanishing.returncode != 0
        assert re.search(r"output 'out' is relative, and inside a Ray job", vanishing.stdout + vanishing.stderr)
        assert not (ROOT / "out" / "one").exists()
