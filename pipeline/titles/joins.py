"""Joins: the GOP in which one scene of a title becomes the next, made of the end of one and the beginning of the other.

The last OVER frames of a scene dissolve into the first picture of the scene after it: both lie in the pause around the
border. Where a scene goes on behind a retake, that picture is the one that it has at this place. The scenes themselves
stay as they are; the join is the film's own, in its stream, and is made of latents that `keep` does not let go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipeline.core.pieces import pieces
from pipeline.core.timeline import GOP
from pipeline.core.windows import gop_reads
from pipeline.store.stage_view import StageView
from pipeline.store.store import Store
from pipeline.titles.title_plan import SceneOf, TitlePlan

OVER = 12  # frames


@dataclass(frozen=True)
class Join:
    """Where one piece of a film becomes the next. `first`: first frame, in the film, of the GOP in which it does.

    That GOP is number `last` of scene `before`; the piece that follows begins with GOP `next` of scene `after`.
    """

    first: int
    before: TitlePlan
    last: int
    after: TitlePlan
    next: int

    def reads(self) -> dict[str, tuple[TitlePlan, list[int]]]:
        """The scenes with first frames of the GOPs whose latents the join is made of, by what records call them."""
        return {
            "ending": (self.before, _read(self.before, self.last)),
            "beginning": (self.after, _read(self.after, self.next)),
        }


def joins_of(plan: TitlePlan, scenes: Sequence[TitlePlan]) -> list[Join]:
    """All joins of a title's scenes, in the film's order; none where one is cut to the next."""
    if plan.options.join != "dissolve":
        return []
    found = []
    for one, two in pairwise(pieces(_scene(scene).shown for scene in scenes)):
        before, after = scenes[one.scene], scenes[two.scene]
        last, following = one.stop - 1 - _scene(before).first, two.first - _scene(after).first
        found.append(Join((one.stop - 1) * GOP, before, last, after, following))
    return found


def _scene(plan: TitlePlan) -> SceneOf:
    assert plan.scene is not None
    return plan.scene


def _read(scene: TitlePlan, gop: int) -> list[int]:
    """First frames of the GOPs whose latents a GOP of a scene is made of."""
    first, stop = gop_reads(gop, scene.frames)
    group = scene.constants.decode_group
    return list(range(first // group * group // GOP * GOP, stop, GOP))


def made_of(store: Store, join: Join) -> dict[str, str] | None:
    """What a join is made of, by sha256 of latents, as its record names it; None where some is not chained."""
    found = dict[str, str]()
    for word, (scene, firsts) in join.reads().items():
        latents = latents_of(store, scene, firsts)
        if len(latents) < len(firsts):
            return None
        found |= {f"{word}/{first}": digest for first, digest in latents.items()}
    return found


def latents_of(store: Store, scene: TitlePlan, firsts: Sequence[int]) -> dict[int, str]:
    """sha256 of the latents of a scene's GOPs at these frames, as far as they are there."""
    records = StageView(store, scene.prefix("chain")).records(firsts)
    return {one.first: one.objects["latents"].sha256 for one in records if "latents" in one.objects}


def kept_for_joins(scene: TitlePlan, joins: Iterable[Join]) -> set[int]:
    """First frames of a scene's GOPs whose latents stay, whatever `keep` says: its ends, and what joins are made of."""
    found = {*_read(scene, 0), *_read(scene, scene.gops - 1)}
    for join in joins:
        found |= {first for one, firsts in join.reads().values() if one.name == scene.name for first in firsts}
    return found


def dissolved(
    pictures: Iterator[tuple[int, NDArray[np.uint8]]], into: NDArray[np.uint8], stop: int
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """The numbered yuv420p planes of frames before `stop`, the last of them more and more those of another picture."""
    target = into.astype(np.uint16)
    for number, planes in pictures:
        share = number - (stop - OVER) + 1
        if share > 0:
            mixed = planes.astype(np.uint16) * (OVER + 1 - share) + target * share
            planes = ((mixed + (OVER + 1) // 2) // (OVER + 1)).astype(np.uint8)
        yield number, planes
