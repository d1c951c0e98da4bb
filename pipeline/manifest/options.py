"""The options of a title: what may be written, what it means, and which hash it enters.

`OptionFields` is the one list of them; documentation, JSON schema and messages are made from it. `Options` is the
result: every value filled in from the title, the manifest's defaults, the family and the tables here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Annotated, Any, Literal, Protocol

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from pipeline.core.timeline import GOP
from pipeline.media.canvas import CANVASES, COLOUR, Layout, layout
from pipeline.sources.urls import has_control

Stage = Literal["chain", "picture", "stream", "file", "none"]

RESOLUTIONS = (512, 1024, 1080, 2048, 2160, 4096)
DEFAULT_RESOLUTION = 1024
SMALL_BASE = 512  # below this base size, resolution may be any multiple of 16

# Quality of about the same look; the scales of the three encoders differ.
DEFAULT_CRF = {"h264": 20, "hevc": 22, "av1": 28}
LARGEST_CRF = {"h264": 51, "hevc": 51, "av1": 63}


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
    accept_short: bool = False  # reports of earlier versions do not name it

    @property
    def placing(self) -> Layout | None:
        """Where the portrait stands on the canvas, None where the picture is the portrait alone."""
        return layout(self.canvas, self.canvas_place) if self.canvas != "none" else None

    @property
    def frame_size(self) -> tuple[int, int]:
        """Width and height of the finished picture."""
        placing = self.placing
        return (placing.width, placing.height) if placing else self.film or (self.resolution, self.resolution)


def option(expected: str, description: str, enters: Stage, default: Any, **rules: Any) -> Any:
    """A field that may be left out. `default` is what the documentation shows: a value, or words."""
    extra = {"expected": expected, "enters": enters, "shown_default": default}
    return Field(default=None, description=description, json_schema_extra=extra, **rules)


Size = Annotated[int, Field(ge=64, le=2160, multiple_of=2)]
Sizes = Annotated[list[Size], Field(max_length=4)]


def _line(value: Any) -> Any:
    if isinstance(value, str) and (not value.strip() or has_control(value)):
        raise ValueError
    return value


LANGUAGE = r"^[a-zA-Z]{2,3}(-[a-zA-Z0-9]{2,8}){0,4}$"
Line = Annotated[Annotated[str, Field(min_length=1, max_length=500)], BeforeValidator(_line)]
Box = Annotated[list[Annotated[int, Field(ge=0, le=1_000_000)]], Field(min_length=4, max_length=4)]


def _edge(value: int) -> int:
    if not 64 <= value <= 4096 or (value % 16 and value not in RESOLUTIONS):
        raise ValueError
    return value


_EDGE = {"type": "integer", "minimum": 64, "maximum": 4096, "multipleOf": 16}
Resolution = Annotated[int, AfterValidator(_edge), WithJsonSchema({"anyOf": [_EDGE, {"const": 1080}]})]


def _fill(value: str) -> str:
    if value.startswith("#") and not COLOUR.fullmatch(value):
        raise ValueError
    return value


class OptionFields(BaseModel):
    """Options as written, all of them optional."""

    model_config = ConfigDict(extra="forbid", strict=True)

    resolution: Resolution = option(
        "512, 1024, 1080, 2048, 2160 or 4096 (any multiple of 16 from 64 for family fake or a base_size below 512)",
        "Edge of the square picture of the portrait, in pixels, the shorter one of a picture in the portrait's own "
        "shape; not smaller than base_size.",
        "picture",
        "1024; the shorter edge of the canvas where there is one",
    )
    frame: Literal["portrait", "square"] = option(
        "portrait or square",
        "Shape of the picture: the portrait's own, or a square around the face. Families that decode whole pictures "
        "make squares alone, and a canvas holds one.",
        "picture",
        "portrait where the family moves the portrait's own pixels, else square",
    )
    canvas: Literal["none", "1920x1080", "3840x2160", "1080x1920"] = option(
        "none, 1920x1080, 3840x2160 or 1080x1920",
        "Size of the video where it is not to be square: the portrait is placed on it, as large as fits.",
        "picture",
        "none",
    )
    canvas_place: Literal["left", "centre", "right"] = option(
        "left, centre or right",
        "Where the portrait stands on the canvas; on an upright canvas left is the top and right the bottom.",
        "picture",
        "centre",
    )
    canvas_fill: Annotated[str, AfterValidator(_fill)] = option(
        'blur, a colour in quotes such as "#102030", or the path or URL of a picture',
        "What fills the canvas beside the portrait: the portrait itself out of focus, a colour, or a picture.",
        "picture",
        "blur",
        min_length=1,
        max_length=4096,
    )
    codec: Literal["h264", "hevc", "av1"] = option(
        "h264, hevc or av1", "Video encoder.", "stream", "h264; av1 at resolution 4096"
    )
    crf: int = option(
        "a whole number from 1 to 51 (h264, hevc) or 63 (av1)",
        "Quality of the encoder: lower is better and larger.",
        "stream",
        ", ".join(f"{crf} ({codec})" for codec, crf in DEFAULT_CRF.items()),
        ge=1,
        le=63,
    )
    preset: Literal["exact", "balanced", "draft"] = option(
        "exact, balanced or draft",
        "Effort of the sampling: what it gives to steps, guided_share and deep_every where they are not given.",
        "none",
        "exact",
    )
    steps: int = option(
        "a whole number from 1 to 200",
        "Sampling steps of a clip; wins over preset.",
        "chain",
        "the family's, times preset",
        ge=1,
        le=200,
    )
    guidance_scale: float = option(
        "a number from 1 to 20",
        "Strength of classifier-free guidance; 1 switches it off.",
        "chain",
        "the family's",
        ge=1,
        le=20,
        allow_inf_nan=False,
    )
    guided_share: float = option(
        "a number from 0 to 1",
        "Share of the steps, from the first on, that are guided; the others take half of the work.",
        "chain",
        "the preset's",
        ge=0,
        le=1,
        allow_inf_nan=False,
    )
    deep_every: int = option(
        "a whole number from 1 to 10",
        "Levels of the denoiser below the first are computed at every so many steps only.",
        "chain",
        "the preset's",
        ge=1,
        le=10,
    )
    solver: Literal["ddim", "dpm++"] = option(
        "ddim or dpm++",
        "How a sampling step is taken: ddim as published, or the multistep DPM-Solver++, which looks back one step.",
        "chain",
        "ddim",
    )
    linears: Literal["full", "int8"] = option(
        "full or int8",
        "In what the denoiser's linear layers multiply: as the rest of it, or in eight bits, for accelerators, with "
        "compile: on.",
        "chain",
        "full",
    )
    fidelity: float = option(
        "a number from 0 to 1",
        "Decoded frame against the restorer's codebook: 0 is cleanest, 1 is closest to the decoded frame.",
        "picture",
        0.7,
        ge=0,
        le=1,
        allow_inf_nan=False,
    )
    background: Literal["x2", "lanczos"] = option(
        "x2 or lanczos",
        "How all but the face is enlarged: by the upsampling network, or by a plain filter.",
        "picture",
        "x2",
    )
    enlarge: Literal["x2", "published"] = option(
        "x2 or published",
        "How often the upsampling network enlarges: by two until the resolution is reached, or, as published, once, "
        "and a plain filter from there on. Above twice base_size that takes a fifth of its time or less.",
        "picture",
        "x2",
    )
    plate: Literal["off", "on"] = option(
        "off or on",
        "Where all but the face stands still for a GOP, show the portrait's own background, enlarged once a title, and "
        "enlarge of each frame the face's surroundings alone. Faster, not exact; every such GOP is recorded.",
        "picture",
        "off",
    )
    base_size: int = option(
        "one of the family's sizes",
        "Edge of the frames that the chain samples, before upscaling, in pixels.",
        "chain",
        "the family's first",
        ge=16,
        le=4096,
    )
    face_box: Box = option(
        "[x, y, width, height], whole numbers, width and height above 0",
        "Where the face is, in pixels of the original portrait; found by the family where not given.",
        "chain",
        "found by the family",
    )
    lip_box: Box = option(
        "[x, y, width, height], whole numbers, width and height above 0",
        "Where the mouth is, in pixels of the original portrait.",
        "chain",
        "found by the family, else the lower third of the face",
    )
    face_embedding: str = option(
        "the path or URL of a file with a face embedding",
        "Identity of the face, for families without a network that computes it.",
        "chain",
        "computed by the family, else zeros",
        min_length=1,
        max_length=4096,
    )
    vocals: Literal["separate", "as_is"] = option(
        "separate or as_is",
        "Whether the voice is separated from music before it drives the face; the sound track is never changed. "
        "Separating needs the published separator beside the weights, and the package onnxruntime.",
        "chain",
        "as_is",
    )
    audio_context: Literal["published", "overlap"] = option(
        "published or overlap",
        "Audio is encoded in blocks: cut hard as published, or with a second of overlap at the cuts.",
        "chain",
        "overlap",
    )
    compat: Literal["none", "published"] = option(
        "none or published",
        "published: noise source and choice of face as in the published code.",
        "chain",
        "none",
    )
    segment_frames: int = option(
        f"a multiple of {GOP} from {GOP} to {GOP * 1000}",
        "Frames handed to an upscaler at a time; changes nothing in the result.",
        "none",
        480,
        ge=GOP,
        le=GOP * 1000,
        multiple_of=GOP,
    )
    keep: Literal["all", "final+hls", "final"] = option(
        "all, final+hls or final",
        "What stays of a finished title when `gc` has run: all, the file and the stream, or the file.",
        "none",
        "all",
    )
    allow_mixed: bool = option(
        "true or false",
        "Let workers of different devices or builds share a title: frames then agree only within tolerance.",
        "none",
        False,
    )
    compile: Literal["off", "on"] = option(
        "off or on",
        "Whether chain workers compile the denoiser before their first clip, which takes minutes. Compiled sums are "
        "added in another order: a title begun so goes on so, unless allow_mixed.",
        "none",
        "off",
    )
    guidance_devices: int = option(
        "1 or 2",
        "Accelerators of one machine that a chain worker takes: with 2, each half of guidance is on one of its own. A "
        "title begun so goes on so, unless allow_mixed.",
        "none",
        1,
        ge=1,
        le=2,
    )

    marks: Literal["on", "off"] = option(
        "on or off",
        "Watermark in the pictures and signed content credentials on the finished file. Off is recorded and warned of: "
        "the law of many places asks for marks.",
        "stream",
        "on",
    )
    badge: bool = option(
        "true or false",
        "A small plate that everybody can see, top left: AI-generated.",
        "stream",
        False,
    )
    subject: Literal["real", "synthetic", "artwork"] = option(
        "real, synthetic or artwork",
        "Whom the portrait shows: a real person, one who does not exist, or a work of art. A real one needs consent.",
        "file",
        "undeclared",
    )
    consent: bool = option(
        "true or false",
        "That the real person whom the portrait shows has agreed to this video, or whoever may agree for them.",
        "file",
        False,
    )
    author: Line = option(
        "1 to 500 characters on one line, without control characters",
        "Who made it; kept as the author's tag of the finished file.",
        "file",
        "the sound file's",
    )
    cover: str = option(
        "the path or URL of one picture",
        "Cover of the finished file: PNG, JPEG or WebP.",
        "file",
        "none",
        min_length=1,
        max_length=4096,
    )
    language: str = option(
        "a language tag such as en, de or pt-BR",
        "Language of speech and captions, for players.",
        "file",
        "und",
        pattern=LANGUAGE,
    )
    loudness: Literal["source"] | Annotated[float, Field(ge=-40, le=-5, allow_inf_nan=False)] = option(
        "source or a number of LUFS from -40 to -5",
        "Loudness of the sound track: as in the source, or brought to this level (-16 is usual for speech).",
        "file",
        "source",
    )
    renditions: Sizes = option(
        "a list of sizes such as [1080], each smaller than the picture",
        "Further, smaller H.264 videos made in the same run, by their shorter edge: a file and an HLS rendition each.",
        "stream",
        "none",
    )
    accept_short: bool = option(
        "true or false",
        "Take sound files that hold less than they state; without it a file that was cut off is refused.",
        "none",
        False,
    )
    burn_captions: bool = option(
        "true or false",
        "Draw the captions into the picture as well; without captions it does nothing.",
        "picture",
        False,
    )

    owner: str = option(
        "up to 100 letters, digits, '.', '_', '-' and spaces",
        "Whose title it is: owners share the workers, so that one's many titles do not keep another's waiting.",
        "none",
        "one owner for all that name none",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._ \-]*$",
        max_length=100,
    )
    share: float = option(
        "a number from 0.01 to 100",
        "Weight of the owner against the others; of several, the largest in its titles counts.",
        "none",
        1.0,
        ge=0.01,
        le=100,
        allow_inf_nan=False,
    )
    due: str = option(
        "a moment with its zone, such as 2027-03-01T18:00:00Z",
        "When the title must be done: it goes first, among those of its priority, once it would be late otherwise.",
        "none",
        "no deadline",
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z|[+\-][0-9]{2}:[0-9]{2})$",
    )


def options_entering(stage: str) -> tuple[str, ...]:
    """Names of the options that enter the hash of a stage, its parents' not included.

    Of `face_embedding` and of a picture that `canvas_fill` names the content counts: the planner puts the name of its
    copy, which is made of the content, in the place of the path before it hashes.
    """
    return tuple(name for name in OptionFields.model_fields if extra(name)["enters"] == stage)


def extra(name: str) -> dict[str, Any]:
    found = OptionFields.model_fields[name].json_schema_extra
    assert isinstance(found, dict)
    return found


def faults_of(given: Mapping[str, Any], family: FamilyFacts | None) -> Iterator[tuple[str, str]]:
    """What is wrong with valid values taken together: (option, text). `family` is None where it is unknown."""
    for name in ("face_box", "lip_box"):
        if name in given and 0 in given[name][2:]:
            yield name, f"value {given[name]}: expected {extra(name)['expected']}; give the box an area"
    if "due" in given:
        try:
            datetime.fromisoformat(given["due"])
        except ValueError:
            yield "due", f"value {given['due']!r}: expected {extra('due')['expected']}; there is no such moment"
    if given.get("subject") == "real" and given.get("consent") is not True:
        yield (
            "subject",
            'value "real": expected consent: true beside it; ask the person, then write it, or choose another portrait',
        )
    if given.get("linears") == "int8" and given.get("compile") != "on":
        yield (
            "linears",
            'value "int8": expected compile: on beside it; uncompiled, every layer writes its rounded inputs to memory '
            "and reads them again, which takes longer than half precision does",
        )
    codec = given.get("codec") or _default_codec(given.get("resolution", 0))
    if given.get("crf", 0) > LARGEST_CRF[codec]:
        yield "crf", f"value {given['crf']}: expected 1 to {LARGEST_CRF[codec]} for {codec}; choose a smaller value"
    shown = CANVASES.get(given.get("canvas", "none")) or (given.get("resolution", default_resolution(given)),)
    for size in given.get("renditions", ()):
        if size >= min(shown):
            yield "renditions", f"value {size}: the picture's shorter edge is {min(shown)}; expected smaller ones"
    if given.get("frame") == "portrait" and given.get("canvas", "none") != "none":
        yield "frame", 'value "portrait": on a canvas the portrait stands as a square; leave out frame or canvas'
    if family is None:
        return
    if given.get("frame") == "portrait" and not family.moves:
        yield "frame", f'value "portrait": family {family.name} makes square pictures; leave it out'
    base_size = given.get("base_size", family.base_sizes[0])
    if base_size not in family.base_sizes:
        sizes = _sizes(family.base_sizes)
        yield "base_size", f"value {base_size}: expected {sizes} for family {family.name}; choose one or leave it out"
        return
    resolution = given.get("resolution", default_resolution(given))
    if resolution not in RESOLUTIONS and base_size >= SMALL_BASE and family.name != "fake":
        choices = ", ".join(map(str, RESOLUTIONS))
        yield (
            "resolution",
            f"value {resolution}: expected one of {choices} at base_size {base_size}; choose one",
        )
    elif resolution < base_size:
        place = "resolution" if "resolution" in given else "base_size"
        yield (
            place,
            f"resolution {resolution} is smaller than base_size {base_size}; raise resolution or lower base_size",
        )


def complete(given: Mapping[str, Any], family: FamilyFacts) -> Options:
    """Fill in what was not given. `given` has passed `faults_of`."""
    values = {name: extra(name)["shown_default"] for name in OptionFields.model_fields} | dict(given)
    resolution = given.get("resolution", default_resolution(given))
    codec = given.get("codec") or _default_codec(resolution)
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
        "crf": given.get("crf", DEFAULT_CRF[codec]),
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


LONGEST = 4096  # pixels of the longer edge
MOST_LONG = 2  # times the shorter edge


def film_size(options: Options, portrait: tuple[int, int]) -> tuple[int, int] | None:
    """Width and height of the picture of a portrait (width, height), where it has the portrait's shape; both even."""
    if options.frame == "square" or options.canvas != "none":
        return None
    width, height = portrait
    longer = options.resolution * min(max(portrait), MOST_LONG * min(portrait))
    long = (longer + min(portrait)) // (2 * min(portrait)) * 2
    return (long, options.resolution) if width >= height else (options.resolution, long)


def frame_fault(options: Options, portrait: tuple[int, int]) -> tuple[str, str] | None:
    """What keeps a portrait (width, height) from being a picture of its own shape: (option, text)."""
    film, size = film_size(options, portrait), f"the portrait has {portrait[0]}x{portrait[1]} pixels"
    if film is None:
        return None
    if max(film) > LONGEST:
        most = LONGEST * options.resolution // max(film)
        return (
            "resolution",
            f"value {options.resolution}: {size}, the picture would have {film[0]}x{film[1]}, at most {LONGEST} an "
            f"edge; expected {most} or less, or frame: square",
        )
    if max(portrait) > MOST_LONG * min(portrait) and options.face_box is None:
        return (
            "frame",
            f'value "portrait": {size}, one edge over {MOST_LONG} times the other; expected face_box beside it, around '
            "which it is cut to that, or frame: square",
        )
    return None


def default_resolution(given: Mapping[str, Any]) -> int:
    """Of a title whose options are these: what its canvas shows best, else 1024."""
    size = CANVASES.get(given.get("canvas", "none"))
    return min(size) if size else DEFAULT_RESOLUTION


def _default_codec(resolution: int) -> str:
    return "av1" if resolution == 4096 else "h264"


def _sizes(sizes: Sequence[int]) -> str:
    """`one of 64, 128` or, for a long regular list, `a multiple of 16 from 64 to 1024`."""
    ordered = sorted(sizes)
    step = ordered[1] - ordered[0] if len(ordered) > 1 else 0
    if len(ordered) > 4 and ordered[0] % step == 0 and ordered == list(range(ordered[0], ordered[-1] + 1, step)):
        return f"a multiple of {step} from {ordered[0]} to {ordered[-1]}"
    return ("one of " if len(ordered) > 1 else "") + ", ".join(map(str, ordered))
