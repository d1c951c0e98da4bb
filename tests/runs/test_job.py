"""The main job as a cluster's user submits it: `ray job submit` against a cluster with its dashboard, output on S3."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import verify
from pipeline.media.inspect_media import count_frames
from pipeline.store.opening import open_store
from tests.conftest import write_manifest
from tests.support.clusters.ray_head import free_port, head
from tests.support.s3 import S3Server

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
TAKES_JOBS_WITHIN = 60.0  # seconds
RUNS_WITHIN = 900.0  # seconds; networks on a busy machine take minutes


@pytest.fixture(scope="module")
def dashboard(s3_server: S3Server) -> Iterator[str]:
    """Address of the dashboard of a cluster whose node has the credentials in its own environment."""
    port = free_port()
    with head(2, "--include-dashboard=true", f"--dashboard-port={port}", environment=s3_server.environment):
        yield f"http://127.0.0.1:{port}"


def submit(dashboard: str, *entrypoint: str) -> subprocess.CompletedProcess[str]:
    """Submit the command and wait for its end; a cluster that has just started may not take jobs yet."""
    command = [str(Path(sys.executable).with_name("ray")), "job", "submit", f"--address={dashboard}"]
    command += ["--working-dir", ".", "--", sys.executable, "-m", "pipeline.render", *entrypoint]
    deadline = time.monotonic() + TAKES_JOBS_WITHIN
    while True:
        job = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=RUNS_WITHIN)
        if "No available agent to submit job" not in job.stderr or time.monotonic() > deadline:
            return job
        time.sleep(1)


def test_a_submitted_job_renders_to_s3(tmp_path: Path, s3: S3Server, dashboard: str) -> None:
    """Credentials come from the nodes' own environment, the code from the uploaded working folder."""
    manifest = write_manifest(tmp_path, [{"id": "one", "frames": 60}, {"id": "two", "frames": 97}])
    output = s3.url()
    job = submit(dashboard, str(manifest), "--output", output)
    assert job.returncode == 0, job.stdout + job.stderr
    assert s3.environment["AWS_SECRET_ACCESS_KEY"] not in job.stdout + job.stderr
    store = open_store(output)
    for title, frames in (("one", 60), ("two", 97)):
        store.get_file(f"{title}/final.mp4", tmp_path / "final.mp4")
        assert count_frames(tmp_path / "final.mp4") == frames
    assert verify.run([output]) == 0


def test_the_demo_as_a_job(tmp_path: Path, s3: S3Server, dashboard: str) -> None:
    """Its inputs lie in the working folder, beside the manifest."""
    output = s3.url()
    job = submit(dashboard, "examples/demo.yaml", "--output", output)
    assert job.returncode == 0, job.stdout + job.stderr
    open_store(output).get_file("reading/final.mp4", tmp_path / "final.mp4")
    assert count_frames(tmp_path / "final.mp4") == 209


def test_an_output_that_would_vanish(tmp_path: Path, dashboard: str) -> None:
    manifest = write_manifest(tmp_path, [60])
    job = submit(dashboard, str(manifest), "--output", "out")
    assert job.returncode != 0
    assert re.search(r"output 'out' is relative, and inside a Ray job", job.stdout + job.stderr)
    assert not (ROOT / "out" / "title-0").exists()
