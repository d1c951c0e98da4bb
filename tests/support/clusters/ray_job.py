"""A render as a job that is submitted to a cluster, its workers prepared by a function of the tests."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[3]
RUNS_WITHIN = 900.0  # seconds


def submit(dashboard: str, hook: str, *entrypoint: str) -> tuple[int, str]:
    """Exit code of the driver, and all that was printed. `hook`: what every worker calls when it starts."""
    ray = str(Path(sys.executable).with_name("ray"))
    environment = json.dumps({"worker_process_setup_hook": hook})
    command = [ray, "job", "submit", f"--address={dashboard}", "--working-dir", ".", "--runtime-env-json", environment]
    command += ["--", sys.executable, "-m", "pipeline.render", *entrypoint]
    for _ in range(60):
        job = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=RUNS_WITHIN)
        if "No available agent to submit job" not in job.stderr:
            break
        time.sleep(1)
    said = job.stdout + job.stderr
    code = re.search(r"exit code (\d+)", said)
    return (int(code[1]) if code else job.returncode), said
