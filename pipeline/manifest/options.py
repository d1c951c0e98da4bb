"""The options of a title, every value filled in: from title, defaults of the manifest, family and the tables here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Protocol

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
    @property
    def gate(self) -> object | None: ...


class Options(OptionFields):
    """Options of one title, complete. Boxes are x, y, width, height in pixels of the original portrait."""

    film: tuple[int, int] | None = None
    """Width and height of a picture in the portrait's own shape: known once the portrait is (`film_size`)."""

    @classmethod
    def reported(cls, values: Mapping[str, object]) -> Options | None:
        """The options that a report names; None where it does not name all, or names one that there is not."""
        # Reports of earlier versions lack these.
        older: dict[str, Any] = {"frame": "square", "film": None, "accept_short": False, "effort": "fast"}
        older |= {"scenes": "one", "pad_joins": "on", "join": "dissolve", "gate": "off"}
        known = older.keys() | values.keys() == cls.model_fields.keys()
        return cls.model_construct(**older | dict(values)) if known else None

    def values(self) -> dict[str, object]:
        """By name."""
        return dict(self)

    def changed(self, **values: object) -> Options:
        """The same but for these."""
        return self.model_copy(update=values)

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
        "gate": given.get("gate", "on" if family.gate else "off"),
        **{name: given.get(name) for name in ("face_embedding", "author", "cover", "due")},
        "owner": given.get("owner", ""),
        "share": float(values["share"]),
        "canvas_fill": fill.lower() if COLOUR.fullmatch(fill := values["canvas_fill"]) else fill,
    }
    return Options.model_construct(**values | boxes | computed)


def default_crf(codec: str, effort: str) -> int:
    """Of titles that do not give one."""
    return (DEFAULT_CRF if effort == "fast" else THOROUGH_CRF)[codec]


def default_resolution(given: Mapping[str, object]) -> int:
    """Of a title whose options are these: what its canvas shows best, else 1024."""
    size = CANVASES.get(str(given.get("canvas", "none")))
    return min(size) if size else DEFAULT_RESOLUTION


def default_codec(resolution: int) -> str:
    return "av1" if resolution == 4096 else "h264"
