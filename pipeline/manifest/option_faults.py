"""What is wrong with options taken together, each of which is valid by itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from pipeline.manifest.option_fields import LARGEST_CRF, SMALL_BASE, extra
from pipeline.manifest.option_types import RESOLUTIONS
from pipeline.manifest.options import FamilyFacts, default_codec, default_resolution
from pipeline.media.canvas import CANVASES


def faults_of(given: Mapping[str, Any], family: FamilyFacts | None) -> Iterator[tuple[str, str, str]]:
    """What is wrong with valid values taken together: (option, text, remedy, which may be empty).

    `family` is None where it is unknown.
    """
    for name in ("face_box", "lip_box"):
        if name in given and 0 in given[name][2:]:
            yield name, f"value {given[name]}: expected {extra(name)['expected']}", "give the box an area"
    if "due" in given:
        try:
            datetime.fromisoformat(given["due"])
        except ValueError:
            yield "due", f"value {given['due']!r}: expected {extra('due')['expected']}; there is no such moment", ""
    if given.get("subject") == "real" and given.get("consent") is not True:
        yield (
            "subject",
            'value "real": expected consent: true beside it',
            "ask the person, then write it, or choose another portrait",
        )
    if given.get("linears") == "int8" and given.get("compile") != "on":
        yield (
            "linears",
            'value "int8": expected compile: on beside it; uncompiled, every layer writes its rounded inputs to memory '
            "and reads them again, which takes longer than half precision does",
            "",
        )
    codec = given.get("codec") or default_codec(given.get("resolution", 0))
    if given.get("crf", 0) > LARGEST_CRF[codec]:
        yield "crf", f"value {given['crf']}: expected 1 to {LARGEST_CRF[codec]} for {codec}", "choose a smaller value"
    shown = CANVASES.get(given.get("canvas", "none")) or (given.get("resolution", default_resolution(given)),)
    for size in given.get("renditions", ()):
        if size >= min(shown):
            yield "renditions", f"value {size}: the picture's shorter edge is {min(shown)}; expected smaller ones", ""
    if given.get("frame") == "portrait" and given.get("canvas", "none") != "none":
        yield "frame", 'value "portrait": on a canvas the portrait stands as a square', "leave out frame or canvas"
    if family is None:
        return
    if given.get("frame") == "portrait" and not family.moves:
        yield "frame", f'value "portrait": family {family.name} makes square pictures', "leave it out"
    if given.get("gate") == "on" and not family.gate:
        yield "gate", f'value "on": family {family.name} has no gate', "leave it out"
    base_size = given.get("base_size", family.base_sizes[0])
    if base_size not in family.base_sizes:
        sizes = _sizes(family.base_sizes)
        yield "base_size", f"value {base_size}: expected {sizes} for family {family.name}", "choose one or leave it out"
        return
    resolution = given.get("resolution", default_resolution(given))
    if resolution not in RESOLUTIONS and base_size >= SMALL_BASE and family.name != "fake":
        choices = ", ".join(map(str, RESOLUTIONS))
        yield (
            "resolution",
            f"value {resolution}: expected one of {choices} at base_size {base_size}",
            "choose one",
        )
    elif resolution < base_size:
        place = "resolution" if "resolution" in given else "base_size"
        yield (
            place,
            f"resolution {resolution} is smaller than base_size {base_size}",
            "raise resolution or lower base_size",
        )


def _sizes(sizes: Sequence[int]) -> str:
    """`one of 64, 128` or, for a long regular list, `a multiple of 16 from 64 to 1024`."""
    ordered = sorted(sizes)
    step = ordered[1] - ordered[0] if len(ordered) > 1 else 0
    if len(ordered) > 4 and ordered[0] % step == 0 and ordered == list(range(ordered[0], ordered[-1] + 1, step)):
        return f"a multiple of {step} from {ordered[0]} to {ordered[-1]}"
    return ("one of " if len(ordered) > 1 else "") + ", ".join(map(str, ordered))
