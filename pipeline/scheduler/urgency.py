"""When a deadline becomes urgent."""

from __future__ import annotations

from pipeline.scheduler.title_state import TitleState

SPARE = 0.15  # of the time that a title still takes, kept in hand
SPARE_SECONDS = 60.0  # at least: the last segment, publishing, a worker that starts anew


def urgent_from(title: TitleState, chain: float | None, upscale: float | None) -> float:
    """When a title with a deadline must be worked on without pause to be done in time, on the scheduler's clock.

    `chain`, `upscale`: seconds that a GOP takes in a lane and on an upscaler, None where nothing was measured yet.
    """
    assert title.work.due is not None
    left = (title.work.gops - title.chained) * (chain or 0.0)
    last = min(title.work.segment, title.work.gops - title.streamed) * (upscale or 0.0)
    return title.work.due - (left + last) * (1 + SPARE) - SPARE_SECONDS
