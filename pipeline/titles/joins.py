"""Joins: the GOP in which one scene of a title becomes the next, made of the end of one and the beginning of the other.

The last OVER frames of a scene dissolve into the first picture of the scene after it, which is still: both lie in the
pause around the border. The scenes themselves stay as they are; the join is the film's own, in its stream, and is made
of latents that `keep` does not let go.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pipeline.core.timeline import GOP, gop_range
from pipeline.core.windows import gop_reads
from pipeline.store.stage_view import StageView
from pipeline.store.store import Store
from pipeline.titles.title_plan import TitlePlan

OVER = 12  # frames


def join_frame(before: TitlePlan) -> int:
    """First frame, in its title, of the GOP in which a scene becomes the next."""
    return before.first_frame + (before.gops - 1) * GOP


def ending(before: TitlePlan) -> list[int]:
    """First frames, in the scene, of the GOPs whose latents its last GOP is made of."""
    first, _ = gop_reads(before.gops - 1, before.frames)
    group = before.constants.decode_group
    return list(range(first // group * group // GOP * GOP, before.gops * GOP, GOP))


def beginning(after: TitlePlan) -> list[int]:
    """The same of its first picture."""
    _, stop = gop_reads(0, after.frames)
    return list(range(0, stop, GOP))


def made_of(store: Store, before: TitlePlan, after: TitlePlan) -> dict[str, str] | None:
    """What a join is made of, by sha256 of latents, as its record names it; None where some is not chained."""
    found = {}
    for word, scene, firsts in (("ending", before, ending(before)), ("beginning", after, beginning(after))):
        records = {one.first: one for one in StageView(store, scene.prefix("chain")).records(firsts)}
        for first in firsts:
            if first not in records or "latents" not in records[first].objects:
                return None
            found[f"{word}/{first}"] = records[first].objects["latents"].sha256
    return found


def is_kept(scene: TitlePlan, first: int) -> bool:
    """Whether the latents of the scene's GOP at that frame stay, whatever `keep` says."""
    return first in beginning(scene) or first in ending(scene)


def dissolved(
    pictures: Iterator[tuple[int, NDArray[np.uint8]]], into: NDArray[np.uint8], before: TitlePlan
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """The numbered yuv420p planes of a scene's last GOP, the last of them more and more those of another picture."""
    _, stop = gop_range(before.gops - 1, before.frames)
    target = into.astype(np.uint16)
    for number, planes in pictures:
        share = number - (stop - OVER) + 1
        if share > 0:
            mixed = planes.astype(np.uint16) * (OVER + 1 - share) + target * share
            planes = ((mixed + (OVER + 1) // 2) // (OVER + 1)).astype(np.uint8)
        yield number, planes
