"""The one list of options: what may be written for each, what it means, which hash it enters, and of what type it is.

Checks, the options of a title, hashes, documentation, JSON schema and messages are made from it. Example: `steps` is an
`int`, written as a whole number from 1 to 200, and enters the hash of the chain.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.core.timeline import GOP
from pipeline.manifest.option_types import (
    LANGUAGE,
    Address,
    Box,
    Fill,
    Level,
    Line,
    Moment,
    Resolution,
    Scenes,
    Sizes,
    Written,
)

Subject = Literal["real", "synthetic", "artwork", "undeclared"]
Stage = Literal["chain", "picture", "stream", "file", "none"]

DEFAULT_RESOLUTION = 1024
SMALL_BASE = 512  # below this base size, resolution may be any multiple of 16

# Quality of about the same look; the scales of the three encoders differ.
DEFAULT_CRF = {"h264": 20, "hevc": 22, "av1": 28}
THOROUGH_CRF = {"h264": 22, "hevc": 22, "av1": 30}  # at more effort than fast, where two of the scales are finer
LARGEST_CRF = {"h264": 51, "hevc": 51, "av1": 63}


def option(expected: str, description: str, enters: Stage, default: Any, **rules: Any) -> Any:
    """A field that may be left out. `default` is what the documentation shows: a value, or words."""
    extra = {"expected": expected, "enters": enters, "shown_default": default}
    return Field(default=None, description=description, json_schema_extra=extra, **rules)


class OptionFields(BaseModel):
    """The options, each of which may be left out of a manifest."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

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
    canvas_fill: Fill = option(
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
        ", ".join(f"{crf} ({codec})" for codec, crf in DEFAULT_CRF.items())
        + f"; {', '.join(map(str, THOROUGH_CRF.values()))} where effort is not fast",
        ge=1,
        le=63,
    )
    effort: Literal["fast", "good", "best"] = option(
        "fast, good or best",
        "Effort of the encoder: the same look in fewer bytes, for more of a processor's time.",
        "stream",
        "fast",
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
    face_embedding: Address = option(
        "the path or URL of a file with a face embedding",
        "Identity of the face, for families without a network that computes it.",
        "chain",
        "computed by the family, else zeros",
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
    scenes: Scenes = option(
        "one, chapters, or a number of minutes from 1 to 120",
        "How the title is parted: rendered in one piece, or in scenes that begin at quiet places and are rendered side "
        "by side, each kept for as long as nothing in it changes: one a chapter, or one of 0.6 to 1.2 times so many "
        "minutes. None is shorter than 20 seconds.",
        "chain",
        "one",
    )
    join: Literal["dissolve", "punch", "cut"] = option(
        "dissolve, punch or cut",
        "How one scene becomes the next: the last 12 frames of one dissolve into the first picture of the next, or the "
        "picture is cut; with punch every other scene stands 6 % larger, as editors do, so that the cut looks meant.",
        "picture",
        "dissolve",
    )
    pad_joins: Literal["on", "off"] = option(
        "on or off",
        "With scenes: chapters and several sound files, silence of less than 1.92 seconds behind each, so that the "
        "next begins a scene: another length of one leaves the scenes of all others as they are. Captions, chapters "
        "and prompts are moved along.",
        "chain",
        "on",
    )
    gate: Literal["on", "off"] = option(
        "on or off", "Sample a GOP again that is outside of the family's limits.", "chain", "on where it has some"
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
    subject: Annotated[Subject, Written(Literal["real", "synthetic", "artwork"])] = option(
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
    author: Annotated[str | None, Written(Line)] = option(
        "1 to 500 characters on one line, without control characters",
        "Who made it; kept as the author's tag of the finished file.",
        "file",
        "the sound file's",
    )
    cover: Address = option(
        "the path or URL of one picture",
        "Cover of the finished file: PNG, JPEG or WebP.",
        "file",
        "none",
    )
    language: str = option(
        "a language tag such as en, de or pt-BR",
        "Language of speech and captions, for players.",
        "file",
        "und",
        pattern=LANGUAGE,
    )
    loudness: Annotated[float | None, Written(Literal["source"] | Level)] = option(
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
    due: Moment = option(
        "a moment with its zone, such as 2027-03-01T18:00:00Z",
        "When the title must be done: it goes first, among those of its priority, once it would be late otherwise.",
        "none",
        "no deadline",
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
