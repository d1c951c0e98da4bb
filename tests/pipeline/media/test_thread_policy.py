"""No encoder makes a worker, or what a worker starts, a real-time process."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from pipeline.media.encode import CODECS, Encoding, GopEncoder

CHILD = "import os; print(os.sched_getscheduler(0))"


@pytest.mark.parametrize("codec", sorted(CODECS))
def test_threads_stay_ordinary(codec: str) -> None:
    """The AV1 encoder asks for SCHED_FIFO 99 where it may, which root may."""
    with closing(GopEncoder(Encoding(codec, 64, 64, CODECS[codec].crf), 0)) as encoder:
        for _ in range(2):
            encoder.add(np.full((96, 64), 128, np.uint8))
        tasks = [int(task.name) for task in Path("/proc/self/task").iterdir()]
        assert {os.sched_getscheduler(task) for task in tasks} == {os.SCHED_OTHER}
        child = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True)
        assert int(child.stdout) == os.SCHED_OTHER
        encoder.finish()
