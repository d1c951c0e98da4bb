"""What the scheduler needs to know of a title, from its plan."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from fractions import Fraction

from pipeline.core import timeline
from pipeline.scheduler.title_work import TitleWork
from pipeline.titles.title_plan import TitlePlan


def title_work(plan: TitlePlan, preview: float | None = None) -> TitleWork:
    """What the scheduler needs to know of a title."""
    gops = plan.gops if preview is None else timeline.whole_gops(Fraction(preview), plan.frames)
    family = plan.constants
    return TitleWork(
        id=plan.name,
        priority=plan.priority,
        gops=gops,
        blocks=plan.blocks,
        segment=plan.options.segment_frames // timeline.GOP,
        block_of_gop=(family.feature_block, timeline.GOP),
        reach=family.feature_reach,
        last_clips=len(timeline.gop_clips(gops - 1, plan.frames)),
        owner=plan.options.owner,
        share=plan.options.share,
        due=None if plan.options.due is None else on_the_clock(plan.options.due),
        in_scenes=plan.in_scenes,
        joined=plan.in_scenes and plan.options.join == "dissolve",
        film=plan.id if plan.scene else "",
        first=plan.scene.first if plan.scene else 0,
    )


def scene_works(scenes: Iterable[TitlePlan], gops: int) -> list[tuple[TitleWork, TitlePlan]]:
    """The same of the scenes that make the first GOPs of their title, each as far as these reach."""
    found = []
    for plan in scenes:
        work = title_work(plan)
        upto = gops - work.first
        shown = tuple((first, min(stop, upto)) for first, stop in plan.shown_gops if first < upto)
        if not shown:
            continue
        mine = shown[-1][1]
        last = len(timeline.gop_clips(mine - 1, plan.frames))
        found.append((replace(work, gops=mine, last_clips=last, shown=shown if shown != ((0, mine),) else ()), plan))
    return found


def on_the_clock(due: str) -> float:
    """A moment in ISO 8601 on the clock that the driver's loop goes by."""
    return datetime.fromisoformat(due).timestamp() - time.time() + time.monotonic()
