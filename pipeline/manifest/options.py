"""The options of a title, every value filled in: from title, defaults of the manifest, family and the tables here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Literal, Protocol

from pipeline.manifest.option_fields import DEFAULT_CRF, DEFAULT_RESOLUTION, THOROUGH_CRF, OptionFields, extra
from pipeline.media.canvas import CANVASES, COLOUR, CanvasLayout, canvas_layout


@dataclass(frozen=True)
class Effort:
    """What a preset gives to options that are left out. Nothing else depends on the preset."""

    steps: float  # share of the family's sampling steps, rounded up
    guided_share: float
    deep_every: int  # where MANY_STEPS are taken


PRESETS = {"exact": Effort(1.0, 1.0, 1), "balanced": Effort(0.5, 0.5, 1), "draft": Effort(0.25, 0.5, 2)}
MANY_STEPS = 10  # with fewer, too much happens in one for anything to be kept to the next


class FamilyFacts(Protocol):
    """What must be known of a family to check a manifest."""

    @property
    def name(self) -> str: ...
    @property
    def text(self) -> bool: ...
    @property
    def default_steps(self) -> int: ...
    @property
    def default_guidance(self) -> float: ...
    @property
    def base_sizes(self) -> Sequence[int]: ...
    @property
    def moves(self) -> bool: ...


@dataclass(frozen=True)
class Options:
    """Options of one title, complete. Boxes are x, y, width, height in pixels of the original portrait."""

    resolution: int
    codec: str
    crf: int
    steps: int
    guidance_scale: float
    guided_share: float
    deep_every: int
    solver: Literal["ddim", "dpm++"]
    linears: Literal["full", "int8"]
    preset: str
    fidelity: float
    segment_frames: int
    face_box: tuple[int, int, int, int] | None
    lip_box: tuple[int, int, int, int] | None
    face_embedding: str | None
    base_size: int
    keep: str
    vocals: str
    audio_context: str
    compat: str
    background: str
    enlarge: str
    plate: str
    allow_mixed: bool
    compile: str
    guidance_devices: int
    canvas: str
    canvas_place: str
    canvas_fill: str
    marks: str
    badge: bool
    subject: str
    consent: bool
    author: str | None
    cover: str | None
    language: str
    owner: str
    share: float
    due: str | None
    burn_captions: bool
    loudness: float | None
    renditions: tuple[int, ...]
    frame: str = "square"
    film: tuple[int, int] | None = None
    """Width and height of a picture in the portrait's own shape: known once the portrait is (`film_size`)."""
    # Reports of earlier versions do not name these.
    accept_short: bool = False
    effort: str = "fast"

    @property
    def placing(self) -> CanvasLayout | None:
        """Where the portrait stands on the canvas, None where the picture is the portrait alone."""
        return canvas_layout(self.canvas, self.canvas_place) if self.canvas != "none" else None

    @property
    def frame_size(self) -> tuple[int, int]:
        """Width and height of the finished picture."""
        placing = self.placing
        return (placing.width, placing.height) if placing else self.film or (self.resolution, self.resolution)


def complete(given: Mapping[str, Any], family: FamilyFacts) -> Options:
    """Fill in what was not given. `given` has passed `faults_of`."""
    values = {name: extra(name)["shown_default"] for name in OptionFields.model_fields} | dict(given)
    resolution = given.get("resolution", default_resolution(given))
    codec = given.get("codec") or default_codec(resolution)
    if values["canvas"] == "none":  # what then has no effect must not change a hash
        values |= {name: extra(name)["shown_default"] for name in ("canvas_place", "canvas_fill")}
    boxes = {name: tuple(given[name]) if name in given else None for name in ("face_box", "lip_box")}
    effort = PRESETS[values["preset"]]
    guidance = float(given.get("guidance_scale", family.default_guidance))
    steps = given.get("steps", ceil(family.default_steps * effort.steps))
    computed = {
        "resolution": resolution,
        "renditions": tuple(sorted(set(given.get("renditions", ())), reverse=True)),
        "loudness": None if values["loudness"] == "source" else float(values["loudness"]),
        "codec": codec,
        "crf": given.get("crf", default_crf(codec, values["effort"])),
        "steps": steps,
        # Without guidance there is nothing to share out, and what has no effect must not change a hash.
        "guided_share": float(given.get("guided_share", effort.guided_share)) if guidance > 1 else 1.0,
        "deep_every": given.get("deep_every", effort.deep_every if steps >= MANY_STEPS else 1),
        "guidance_scale": guidance,
        "guidance_devices": values["guidance_devices"] if guidance > 1 else 1,
        "fidelity": float(values["fidelity"]),
        "enlarge": values["enlarge"] if values["background"] == "x2" else "x2",
        "frame": given.get("frame", "portrait" if family.moves else "square"),
        "base_size": given.get("base_size", family.base_sizes[0]),
        **{name: given.get(name) for name in ("face_embedding", "author", "cover", "due")},
        "owner": given.get("owner", ""),
        "share": float(values["share"]),
        "canvas_fill": fill.lower() if COLOUR.fullmatch(fill := values["canvas_fill"]) else fill,
    }
    return Options(**(values | boxes | computed))


def default_crf(codec: str, effort: str) -> int:
    """Of titles that do not give one."""
    return (DEFAULT_CRF if effort == "fast" else THOROUGH_CRF)[codec]


def default_resolution(given: Mapping[str, Any]) -> int:
    """Of a title whose options are these: what its canvas shows best, else 1024."""
    size = CANVASES.get(given.get("canvas", "none"))
    return min(size) if size else DEFAULT_RESOLUTION


def default_codec(resolution: int) -> str:
    return "av1" if resolution == 4096 else "h264"
