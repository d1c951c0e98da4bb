"""Scenes: a title that is parted at quiet places, so that its parts are rendered side by side and kept one by one.

A scene is rendered as a title is: from the portrait, its frames counted from its own first one. What it is made of is
in its hash and nothing else, so wherever it stands in a title, and whatever comes before, it is the same scene: a
change in chapter 3 leaves chapters 4 and 5 as they are. Where each begins stands in a record, made with the sound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import DamagedObject
from pipeline.core.timeline import CLIP, FPS, GOP
from pipeline.sources.captions import Cue, cut
from pipeline.store.ledger import Ledger
from pipeline.store.record import Record
from pipeline.store.store import Store
from pipeline.titles.scene_borders import at_chapters, every
from pipeline.titles.title_plan import SceneOf, TitlePlan, digest, scene_hashes

EDGE = 16  # samples of speech at 16 kHz


@dataclass(frozen=True)
class Scene:
    """A scene as the record keeps it: first GOP and frames, its speech by content, how loud that is (root mean square
    without pauses), and the captions burnt into it, by content ("" without any)."""

    first: int
    frames: int
    speech: str
    level: float
    captions: str = ""


def scenes_in(record: Record) -> tuple[Scene, ...]:
    """Raises DamagedObject where the record does not hold scenes that follow each other."""
    try:
        found = tuple(Scene(**one) for one in record.facts["scenes"])
        ends = [one.first * GOP + one.frames for one in found]
        wrong = [one.first * GOP for one in found] != [0, *ends[:-1]] or ends[-1] != record.frames
    except (KeyError, IndexError, TypeError) as error:
        raise DamagedObject(f"title {record.title}: no scenes in their record ({type(error).__name__})") from error
    if wrong:
        raise DamagedObject(f"title {record.title}: its scenes do not follow each other from 0 to {record.frames}")
    return found


def read_scenes(store: Store, plan: TitlePlan) -> tuple[TitlePlan, ...]:
    """Plans of a title's scenes in order; empty for a title in one piece, or whose sound is not made yet."""
    if not plan.in_scenes:
        return ()
    record = Ledger(store, plan.prefix("scenes")).read(0)
    return plans_of(plan, scenes_in(record)) if record else ()


def expected(plan: TitlePlan) -> tuple[TitlePlan, ...]:
    """Plans of about such scenes as a title will have, before its sound is made: for counting and forecasts alone."""
    if not plan.in_scenes:
        return ()
    silence = np.zeros(plan.frames, np.int64)
    if plan.options.scenes == "chapters":
        firsts = at_chapters(silence, chapter_frames(plan))
    else:
        assert isinstance(plan.options.scenes, int)
        firsts = every(silence, plan.options.scenes)
    sizes = [min(stop * GOP, plan.frames) - first * GOP for first, stop in pairwise([*firsts, plan.gops])]
    return plans_of(plan, [Scene(first, frames, "", 0.0) for first, frames in zip(firsts, sizes, strict=True)])


def chapter_frames(plan: TitlePlan) -> list[int]:
    """Frames at which the title's chapters begin."""
    return [chapter.start * FPS // 1000 for chapter in plan.metadata.chapters]


def plans_of(plan: TitlePlan, scenes: Sequence[Scene]) -> tuple[TitlePlan, ...]:
    """The plan of every scene of a title."""
    return tuple(_plan_of(plan, number, scene) for number, scene in enumerate(scenes))


def _plan_of(plan: TitlePlan, number: int, scene: Scene) -> TitlePlan:
    prompts = prompts_within(plan.prompts, scene.first * GOP // CLIP, -(-scene.frames // CLIP))
    return replace(
        plan,
        frames=scene.frames,
        prompts=prompts,
        scene=SceneOf(number, scene.first, scene.speech, scene.level),
        hashes=scene_hashes(plan, scene.frames, prompts, scene.speech, scene.captions),
    )


def without_edges(speech: NDArray[np.int16], before: int, after: int) -> NDArray[np.int16]:
    """Speech of a scene of which so many frames lie before and after: silent in its first and last millisecond.

    There the sound of the neighbours is heard, if faintly: whoever changes its rate blurs it by that much.
    """
    found = speech.copy()
    if before == 0:
        found[:EDGE] = 0
    if after == 0:
        found[len(found) - EDGE :] = 0
    return found


def prompts_within(prompts: Sequence[tuple[int, str]], first: int, clips: int) -> tuple[tuple[int, str], ...]:
    """The prompts that hold in `clips` clips from `first` on, counted from there."""
    before = [text for clip, text in prompts if clip <= first]
    own = [(clip - first, text) for clip, text in prompts if first < clip < first + clips]
    return ((0, before[-1]), *own) if before else tuple(own)


def cues_within(cues: Sequence[Cue], first: int, frames: int) -> tuple[Cue, ...]:
    """The captions of `frames` frames from frame `first` on, in milliseconds from there."""
    start = first * 1000 // FPS  # 40 ms a frame: exact
    moved = [replace(cue, start=max(0, cue.start - start), end=cue.end - start) for cue in cues if cue.end > start]
    return cut(tuple(moved), frames * 1000 // FPS)


def captions_digest(cues: Sequence[Cue]) -> str:
    return digest([[cue.start, cue.end, cue.plain] for cue in cues]) if cues else ""
