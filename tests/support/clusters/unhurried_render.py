"""`render` in this process that rests a while after every GOP, for as long as a file is there: a run to be watched.

    python -m tests.support.clusters.unhurried_render FILE MANIFEST [options of render]

A title whose id ends in `-failed` fails at its first GOP. Resting takes time and no processor, so pages and playlists,
which are written by the clock, tell of a title that renders on a machine of any speed. Without the file it goes on at
full speed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

from actors.upscale import UpscaleWorker
from pipeline import render
from pipeline.core.errors import InputError
from pipeline.scheduler.work import Done, Job
from pipeline.titles.title_plan import TitlePlan

REST = 1.0  # seconds after a GOP
FAILS = "the picture cannot be made"
SHORT = 10  # GOPs: titles that are not longer are not slowed down


def main(argv: list[str]) -> int:
    hold, work_on = Path(argv[0]), UpscaleWorker.work_on

    def unhurried(self: UpscaleWorker, job: Job, plan: TitlePlan) -> Iterator[Done]:
        if job.title.endswith("-failed"):
            raise InputError(f"{FAILS}; export that passage again")
        for done in work_on(self, job, plan):
            yield done
            until = time.monotonic() + REST
            while plan.gops > SHORT and hold.exists() and time.monotonic() < until:
                time.sleep(0.02)

    UpscaleWorker.work_on = unhurried  # type: ignore[method-assign]
    return render.run(argv[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
