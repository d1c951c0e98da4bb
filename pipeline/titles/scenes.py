"""Scenes: a title that is parted at quiet places, so that its parts are rendered side by side and kept one by one.

A scene is rendered as a title is: from the portrait, its frames counted from its own first one. What it is made of is
in its hash and nothing else, so wherever it stands in a title, and whatever comes before, it is the same scene: a
change in chapter 3 leaves chapters 4 and 5 as they are. Where each begins stands in a record, made with the sound.

A retake is a scene, too: it is shown in place of a part of others, which are otherwise as they were. A title in one
piece is then the one scene that its retakes are taken from, under the hashes that it has without them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import DamagedObject
from pipeline.core.pieces import Interval, pieces, without
from pipeline.core.timeline import CLIP, FPS, GOP, gops_of
from pipeline.sources.captions import Cue, cut
from pipeline.store.ledger import Ledger
from pipeline.store.record import Record, Stored
from pipeline.store.store import Store
from pipeline.titles.scene_borders import NEAR, around, at_chapters, every
from pipeline.titles.title_hashes import PUNCH_REVISION, Hashes, chosen_of, digest, encoded_of, shown_of
from pipeline.titles.title_plan import SceneOf, TitlePlan

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


@dataclass(frozen=True)
class Parting:
    """What a title's record of scenes holds: the scenes that it is parted into, and its retakes."""

    scenes: tuple[Scene, ...]
    retakes: tuple[Scene, ...] = ()


def parting_in(record: Record) -> Parting:
    """Raises DamagedObject where the record does not hold scenes that follow each other."""
    try:
        found = tuple(Scene(**one) for one in record.facts["scenes"])
        retakes = tuple(Scene(**one) for one in record.facts.get("retakes", ()))
        ends = [one.first * GOP + one.frames for one in found]
        wrong = [one.first * GOP for one in found] != [0, *ends[:-1]] or ends[-1] != record.frames
    except (KeyError, IndexError, TypeError) as error:
        raise DamagedObject(f"title {record.title}: no scenes in their record ({type(error).__name__})") from error
    if wrong:
        raise DamagedObject(f"title {record.title}: its scenes do not follow each other from 0 to {record.frames}")
    return Parting(found, retakes)


def read_scenes(store: Store, plan: TitlePlan) -> tuple[TitlePlan, ...]:
    """Plans of a title's scenes; empty for a title in one piece, or whose sound is not made yet."""
    if not plan.in_scenes:
        return ()
    record = Ledger(store, plan.prefix("scenes")).read(0)
    return plans_of(plan, parting_in(record)) if record else ()


def expected(plan: TitlePlan) -> tuple[TitlePlan, ...]:
    """Plans of about such scenes as a title will have, before its sound is made: for counting and forecasts alone."""
    if not plan.in_scenes:
        return ()
    silence = np.zeros(plan.frames, np.int64)

    def some(first: int, stop: int) -> Scene:
        return Scene(first, min(stop * GOP, plan.frames) - first * GOP, "", 0.0)

    scenes = tuple(some(first, stop) for first, stop in pairwise([*first_gops(plan, silence), plan.gops]))
    return plans_of(plan, Parting(scenes, tuple(some(*one) for one in retaken(plan, silence))))


def first_gops(plan: TitlePlan, energies: NDArray[np.int64]) -> list[int]:
    """Where the scenes of a title begin. `energies`: of its speech, frame by frame (`frame_energies`)."""
    match plan.options.scenes:
        case "one":
            return [0]
        case "chapters":
            return at_chapters(energies, [chapter.start * FPS // 1000 for chapter in plan.metadata.chapters])
        case int(minutes):
            return every(energies, minutes)


def retaken(plan: TitlePlan, energies: NDArray[np.int64]) -> list[Interval]:
    """The GOPs of a title that are made once more, from border to border."""
    return around(energies, [(one.start, one.stop) for one in plan.retakes])


def plans_of(plan: TitlePlan, parting: Parting) -> tuple[TitlePlan, ...]:
    """The plan of every scene of which anything is shown, retakes last."""
    taken = [(one.first, one.first + gops_of(one.frames)) for one in parting.retakes]
    found = []
    every_other = plan.options.join == "punch"
    for number, scene in enumerate(parting.scenes):
        if shown := without((scene.first, scene.first + gops_of(scene.frames)), taken):
            other = _spoken(plan, scene.first)
            found.append(_plan_of(other, number, scene, shown, every_other and number % 2 == 1))
    for number, (scene, gops, retake) in enumerate(zip(parting.retakes, taken, plan.retakes, strict=True)):
        own = plan.prompts if retake.prompts is None else retake.prompts
        other = _spoken(replace(plan, seed=retake.seed, prompts=own), scene.first)
        if retake.portrait:
            other = _with_portrait(other, retake.portrait, retake.portrait_reading)
        before = sum(one.first < max(1, gops[0]) for one in parting.scenes)  # scenes up to the one that it follows
        larger = every_other and before % 2 == 1
        found.append(_plan_of(other, len(parting.scenes) + number, scene, (gops,), larger))
    return tuple(found)


def scene_hashes(
    plan: TitlePlan, frames: int, prompts: tuple[tuple[int, str], ...], speech: str, captions: str, larger: bool
) -> Hashes:
    """Hashes of a scene of a title: of what it is made of, and of nothing that says where it stands.

    `prompts` are counted from its first clip; `speech` and `captions` (burnt in) are its own, by content.
    """
    chain = digest(
        {
            "speech": speech,
            "frames": frames,
            "family": plan.family,
            "weights": plan.weights_hash,
            "revision": plan.constants.chain_revision,
            "portrait": plan.portrait.sha256,
            "seed": plan.seed,
            "prompts": prompts,
            "options": chosen_of(plan.options, "chain"),
            "reading": plan.portrait_reading,
            **({"gate": plan.gate} if plan.gate else {}),
        }
    )
    shown = shown_of(plan.constants, plan.options, captions or None, plan.canvas_reading)
    picture = digest({"chain": chain, **shown, **({"larger": PUNCH_REVISION} if larger else {})})
    marked = plan.untaken.chain if plan.untaken else chain
    stream = digest({"picture": picture, **encoded_of(plan.id, marked, plan.options, plan.mark_key)})
    return replace(plan.hashes, chain=chain, picture=picture, stream=stream)


def _spoken(plan: TitlePlan, gop: int) -> TitlePlan:
    """With the portrait of who speaks from a GOP on."""
    spoken = [one for one in plan.speakers if one.start <= (gop + NEAR) * GOP]
    portrait = spoken[-1].portrait if spoken else None
    return _with_portrait(plan, portrait, spoken[-1].reading) if portrait else plan


def _with_portrait(plan: TitlePlan, portrait: Stored, reading: str) -> TitlePlan:
    """With another portrait; what is said of the face in the title's own is not true of it."""
    options = plan.options.changed(face_box=None, lip_box=None, face_embedding=None)
    return replace(plan, portrait=portrait, portrait_reading=reading, options=options, face_embedding=None)


def _plan_of(plan: TitlePlan, number: int, scene: Scene, shown: tuple[Interval, ...], larger: bool) -> TitlePlan:
    whole = plan.options.scenes == "one" and plan.untaken is not None and number == 0
    where = SceneOf(number, scene.first, scene.speech, scene.level, shown, whole, larger)
    if whole:
        assert plan.untaken is not None
        return replace(plan, scene=where, hashes=plan.untaken)
    prompts = prompts_within(plan.prompts, scene.first * GOP // CLIP, -(-scene.frames // CLIP))
    return replace(
        plan,
        frames=scene.frames,
        prompts=prompts,
        scene=where,
        hashes=scene_hashes(plan, scene.frames, prompts, scene.speech, scene.captions, larger),
    )


def pieces_of(scenes: Sequence[TitlePlan]) -> list[dict[str, object]]:
    """The film piece by piece, as reports show it: first frame and frames of each, and the stream that it is of."""
    found: list[dict[str, object]] = []
    for one in pieces(scene.scene.shown for scene in scenes if scene.scene):
        scene = scenes[one.scene]
        end = min(one.stop * GOP, scene.first_frame + scene.frames)
        found.append({"first": one.first * GOP, "frames": end - one.first * GOP, "stream": scene.hashes.stream})
    return found


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
