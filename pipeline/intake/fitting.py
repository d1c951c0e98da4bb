"""Whether inputs that can be read go together: with their title, and with the weights that are given."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.core.errors import Problem
from pipeline.core.safe_text import redact
from pipeline.core.timeline import FPS
from pipeline.intake.title_inputs import TitleInputs
from pipeline.intake.weight_tree import FoundTree
from pipeline.manifest.catalog import Catalog, check_prompts
from pipeline.manifest.film_shape import frame_fault
from pipeline.media.sound_in.probe import cut_off
from pipeline.sources.captions import clock
from pipeline.sources.inputs import name_of


def misfits(catalog: Catalog, inputs: TitleInputs) -> list[Problem]:
    """What is wrong with a title although each of its files can be read."""
    prompts = check_prompts(inputs.title, inputs.frames, catalog.place)
    return [*_cut_off(catalog, inputs), *prompts, *_check_boxes(catalog, inputs), *_check_captions(catalog, inputs)]


def _cut_off(catalog: Catalog, inputs: TitleInputs) -> list[Problem]:
    """Sound files that hold less than they state, where that is not meant."""
    if inputs.title.options.accept_short:
        return []
    return [
        Problem(catalog.place(f"{inputs.title.key}.audio[{number}]"), str(cut_off(name_of(source.url), fact.short)))
        for number, (source, fact) in enumerate(zip(inputs.audio, inputs.facts, strict=True))
        if fact.short
    ]


def _check_boxes(catalog: Catalog, inputs: TitleInputs) -> list[Problem]:
    width, height = inputs.portrait_size
    problems = []
    for name in ("face_box", "lip_box"):
        box = getattr(inputs.title.options, name)
        if box and (box[0] + box[2] > width or box[1] + box[3] > height):
            text = (
                f"value {list(box)}: reaches beyond the portrait of {width}x{height} pixels; "
                "expected [x, y, width, height] inside it"
            )
            problems.append(Problem(catalog.place(f"{inputs.title.key}.{name}"), text))
    if fault := frame_fault(inputs.title.options, inputs.portrait_size):
        problems.append(Problem(catalog.place(f"{inputs.title.key}.{fault[0]}"), fault[1]))
    return problems


def _check_captions(catalog: Catalog, inputs: TitleInputs) -> list[Problem]:
    if "captions" not in inputs.extras:
        return []
    title, facts, end = inputs.title, inputs.extras["captions"][1], inputs.frames * 1000 // FPS
    problems = []
    if facts["last"] >= end:
        problems.append(
            f"the cue of line {facts['line']} begins at {clock(facts['last'])}, the title ends at {clock(end)}; "
            "give the captions of this sound"
        )
    if title.options.burn_captions and facts["cannot_be_drawn"]:
        problems.append(
            f"holds {facts['cannot_be_drawn'][:20]!r}, which the font of captions in the picture has not; leave "
            "burn_captions out: players draw the text track with fonts of their own"
        )
    return [Problem(catalog.place(f"{title.key}.captions"), text) for text in problems]


def without_impossible(
    catalog: Catalog, inputs: Iterable[TitleInputs], found: FoundTree | None
) -> tuple[list[TitleInputs], list[Problem]]:
    """The titles that can be rendered with these weights; prompts need a text branch, separating needs a separator."""
    problems, kept = [], []
    for one in inputs:
        mine = _prompts_without_text(catalog, one, found) + _voices_without_separator(catalog, one, found)
        problems += mine
        if not mine:
            kept.append(one)
    return kept, problems


def _prompts_without_text(catalog: Catalog, inputs: TitleInputs, found: FoundTree | None) -> list[Problem]:
    if not inputs.title.prompts or found is None or found.has("text"):
        return []
    name = next((file.path for file in found.absent if file.network == "text"), "text branch")
    remedy = f"without which family {catalog.family} takes no prompts; remove `prompts`, or use weights that have it"
    text = f"{len(inputs.title.prompts)} given, but the weights at {redact(found.url)} have no {name}, {remedy}"
    return [Problem(catalog.place(f"{inputs.title.key}.prompts"), text)]


def _voices_without_separator(catalog: Catalog, inputs: TitleInputs, found: FoundTree | None) -> list[Problem]:
    if inputs.title.options.vocals == "as_is" or (found is not None and found.has("separator")):
        return []
    where = f"the weights at {redact(found.url)} have" if found else f"family {catalog.family} has"
    text = (
        f"value separate: {where} no separator of voice and music (audio_separator/Kim_Vocal_2.onnx and its table); "
        "expected as_is; speech without music under it needs no separation"
    )
    return [Problem(catalog.place(f"{inputs.title.key}.vocals"), text)]
