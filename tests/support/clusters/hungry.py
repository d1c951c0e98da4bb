"""Workers that take more memory than they are given, until the kernel kills them.

`install` is what Ray's workers call when they start. The first upscalers that get work put themselves into a control
group of the test and then take a gigabyte, of which the group has a fraction.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from actors import upscale
from pipeline.scheduler.work import Done, Job
from pipeline.titles.title_plan import TitlePlan

GROUP = "LONGTAKE_TEST_GROUP"  # environment: the control group's folder
ALLOWED = 64 << 20  # bytes
TAKEN = 1 << 30
GREEDY = 2  # workers


def install() -> None:
    upscale.UpscaleWorker.work_on = _hungry(upscale.UpscaleWorker.work_on)  # type: ignore[method-assign]


def kills(group: Path) -> int:
    """How often the kernel has killed in a control group."""
    told = (group / "memory.oom_control").read_text()
    return int(dict(line.split() for line in told.splitlines())["oom_kill"])


def _hungry(work_on):  # type: ignore[no-untyped-def]
    def instead(self, job: Job, plan: TitlePlan) -> Iterator[Done]:  # type: ignore[no-untyped-def]
        group = Path(os.environ[GROUP])
        if kills(group) < GREEDY:
            (group / "cgroup.procs").write_text(str(os.getpid()))
            bytearray(os.urandom(1 << 20)) * (TAKEN >> 20)
            raise AssertionError("the kernel let it be")
        yield from work_on(self, job, plan)

    return instead
