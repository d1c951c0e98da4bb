"""Whether inputs that can be read go together: with their title, and with the weights that are given."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from itertools import pairwise

from pipeline.core.errors import InputError, Problem, ProblemKind
from pipeline.core.safe_text import redact
from pipeline.core.timeline import FPS
from pipeline.intake.title_inputs import TitleInputs, portrait_key
from pipeline.intake.weight_tree import FoundTree
from pipeline.manifest.catalog import Catalog, Title, check_moments
from pipeline.manifest.film_shape import film_size, frame_fault
from pipeline.media.sound_in.probe import cut_off
from pipeline.sources.captions import clock
from pipeline.sources.inputs import name_of

SHORTEST_SPOKEN = 30  # seconds of a chapter with a portrait of its own: its borders may be moved by some seconds


def misfits(catalog: Catalog, inputs: TitleInputs) -> list[Problem]:
    """What is wrong with a title although each of its files can be read."""
    moments = check_moments(inputs.title, inputs.frames, catalog.place)
    pictures = _check_boxes(catalog, inputs) + _check_shapes(catalog, inputs) + _check_speakers(catalog, inputs)
    return [*_cut_off(catalog, inputs), *moments, *pictures, *_check_captions(catalog, inputs)]


def _check_speakers(catalog: Catalog, inputs: TitleInputs) -> list[Problem]:
    """Where another person speaks a chapter is a scene: neither it nor the one before may be too short for that."""
    title, chapters = inputs.title, inputs.title.chapters
    starts = [one.at for one in chapters]
    lengths = [end - start for start, end in pairwise([*starts, Fraction(inputs.frames, FPS)])]
    return [
        Problem(
            catalog.place(f"{title.key}.{portrait_key('chapters', number)}"),
            f"chapters {number - 1} and {number} last {float(before):.1f} and {float(length):.1f} s; "
            f"expected {SHORTEST_SPOKEN} s or more of both, where who speaks changes",
            "make one chapter of them, or give both the same portrait",
            kind="chapters",
            title=title.id,
        )
        for number, (before, length) in enumerate(pairwise(lengths), 1)
        if chapters[number].portrait != chapters[number - 1].portrait and min(before, length) < SHORTEST_SPOKEN
    ]


def _check_shapes(catalog: Catalog, inputs: TitleInputs) -> list[Problem]:
    """A film has pictures of one size: where they have the shape of the portrait, all portraits must have it."""
    title, wanted = inputs.title, film_size(inputs.title.options, inputs.portrait_size)
    return [
        Problem(
            catalog.place(f"{title.key}.{key}"),
            f"{name_of(source.url)} has {size[0]}x{size[1]} pixels, which makes pictures of {shown[0]}x{shown[1]}; "
            f"expected the shape of the title's portrait, {wanted[0]}x{wanted[1]}",
            "cut it to that shape, or set frame: square",
            kind="portrait",
            title=title.id,
        )
        for key, (source, size, _) in inputs.other_portraits.items()
        if (shown := film_size(title.options, size)) and wanted and shown != wanted
    ]


def problem_of(error: InputError, catalog: Catalog, title: Title, key: str, kind: ProblemKind) -> Problem:
    """What is wrong with the file that a title names under a key, such as `audio[0]`."""
    text = f"{error.place}: {error.text}" if error.place else error.text
    return Problem(catalog.place(f"{title.key}.{key}"), text, error.remedy, kind=kind, title=title.id)


def _cut_off(catalog: Catalog, inputs: TitleInputs) -> list[Problem]:
    """Sound files that hold less than they state, where that is not meant."""
    if inputs.title.options.accept_short:
        return []
    return [
        problem_of(cut_off(name_of(source.url), fact.short), catalog, inputs.title, f"audio[{number}]", "sound")
        for number, (source, fact) in enumerate(zip(inputs.audio, inputs.facts, strict=True))
        if fact.short
    ]


def _check_boxes(catalog: Catalog, inputs: TitleInputs) -> list[Problem]:
    width, height = inputs.portrait_size
    problems: list[tuple[str, str]] = []
    for name in ("face_box", "lip_box"):
        box = getattr(inputs.title.options, name)
        if box and (box[0] + box[2] > width or box[1] + box[3] > height):
            text = (
                f"value {list(box)}: reaches beyond the portrait of {width}x{height} pixels; "
                "expected [x, y, width, height] inside it"
            )
            problems.append((name, text))
    if fault := frame_fault(inputs.title.options, inputs.portrait_size):
        problems.append(fault)
    title = inputs.title
    return [
        Problem(catalog.place(f"{title.key}.{name}"), text, kind="option", title=title.id) for name, text in problems
    ]


def _check_captions(catalog: Catalog, inputs: TitleInputs) -> list[Problem]:
    if "captions" not in inputs.extras:
        return []
    title, facts, end = inputs.title, inputs.extras["captions"][1], inputs.frames * 1000 // FPS
    problems: list[tuple[str, str]] = []
    if facts["last"] >= end:
        text = f"the cue of line {facts['line']} begins at {clock(facts['last'])}, the title ends at {clock(end)}"
        problems.append((text, "give the captions of this sound"))
    if title.options.burn_captions and facts["cannot_be_drawn"]:
        text = f"holds {facts['cannot_be_drawn'][:20]!r}, which the font of captions in the picture has not"
        problems.append((text, "leave burn_captions out: players draw the text track with fonts of their own"))
    place = catalog.place(f"{title.key}.captions")
    return [Problem(place, text, remedy, kind="captions", title=title.id) for text, remedy in problems]


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
    title = inputs.title
    given = [*title.prompts, *(prompt for retake in title.retakes for prompt in retake.prompts or ())]
    if not given or found is None or found.has("text"):
        return []
    name = next((file.path for file in found.absent if file.network == "text"), "text branch")
    why = f"the weights at {redact(found.url)} have no {name}, without which family {catalog.family} takes no prompts"
    text, remedy = f"{len(given)} given, but {why}", "remove `prompts`, or use weights that have it"
    place = catalog.place(f"{inputs.title.key}.prompts")
    return [Problem(place, text, remedy, kind="weights", title=inputs.title.id)]


def _voices_without_separator(catalog: Catalog, inputs: TitleInputs, found: FoundTree | None) -> list[Problem]:
    if inputs.title.options.vocals == "as_is" or (found is not None and found.has("separator")):
        return []
    where = f"the weights at {redact(found.url)} have" if found else f"family {catalog.family} has"
    text = (
        f"value separate: {where} no separator of voice and music (audio_separator/Kim_Vocal_2.onnx and its table); "
        "expected as_is; speech without music under it needs no separation"
    )
    return [Problem(catalog.place(f"{inputs.title.key}.vocals"), text, kind="weights", title=inputs.title.id)]
