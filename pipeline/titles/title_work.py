"""What the scheduler needs to know of a title, from its plan."""

from __future__ import annotations

import time
from datetime import datetime
from fractions import Fraction

from pipeline.core import timeline
from pipeline.scheduler.title_state import TitleWork
from pipeline.titles.title_plan import TitlePlan


def title_work(plan: TitlePlan, preview: float | None = None) -> TitleWork:
    """What the scheduler needs to know of a title."""
    gops = plan.gops if preview is None else timeline.whole_gops(Fraction(preview), plan.frames)
    family = plan.constants
    return TitleWork(
        id=plan.id,
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
    )


def on_the_clock(due: str) -> float:
    """A moment in ISO 8601 on the clock that the driver's loop goes by."""
    return datetime.fromisoformat(due).timestamp() - time.time() + time.monotonic()
