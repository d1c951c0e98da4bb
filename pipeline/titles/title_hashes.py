"""The hashes of a title: what its sound, chain, pictures, fragments and files are made of.

Each contains its parent's: sound and chain, then picture, then stream. Another hash is another prefix, so nothing is
ever mixed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from models.families.protocol import Family
from pipeline.manifest.catalog import Options, options_entering
from pipeline.manifest.options import default_crf
from pipeline.media import ffmpeg
from pipeline.media.encode import Encoding
from pipeline.provenance.title_marks import TitleMarks
from pipeline.provenance.watermark import SMALLEST
from pipeline.provenance.watermark_code import payload_of
from pipeline.store.record import Stored
from pipeline.titles import scene_borders
from pipeline.titles.metadata import Metadata

SOUND_REVISION = 2  # raised when a change alters the sound track or the speech that the features come from
LOUDNESS_REVISION = 1  # raised when a change alters how sound is brought to a level
CANVAS_REVISION = 1  # raised when a change alters how the portrait is placed or what fills the canvas
PUNCH_REVISION = 1  # raised when a change alters how the pictures of scenes are enlarged
STREAM_REVISION = 1  # raised when a change alters the encoded fragments in another way than by encoder build


_PARTING = ("scenes", "pad_joins", "join")  # options of a film that say nothing of what is in its scenes
_APART = (*_PARTING, "gate")  # what enters a hash in a way of its own


@dataclass(frozen=True)
class Hashes:
    sound: str
    chain: str
    picture: str
    stream: str
    file: str = ""  # of what is written around pictures and sound


@dataclass(frozen=True)
class Retake:
    """Frames [start, stop) of a title that are to be made once more. `prompts`, `portrait`: None for the title's own.

    `portrait_reading`: how the portrait's numbers are taken.
    """

    start: int
    stop: int
    seed: int
    prompts: tuple[tuple[int, str], ...] | None = None
    portrait: Stored | None = None
    portrait_reading: str = ""

    def identity(self) -> list[object]:
        """What of it enters hashes."""
        portrait = [self.portrait.sha256, self.portrait_reading] if self.portrait else []
        return [self.start, self.stop, self.seed, self.prompts, *portrait]


@dataclass(frozen=True)
class Speaker:
    """Who speaks from a frame on. `portrait` None: the title's own; `reading`: how its numbers are taken."""

    start: int
    portrait: Stored | None = None
    reading: str = ""

    def identity(self) -> list[object]:
        return [self.start, self.portrait.sha256 if self.portrait else "", self.reading]


@dataclass(frozen=True)
class Rendition:
    """The picture in another size: `suffix` marks its objects and files, empty for the main one."""

    suffix: str
    encoding: Encoding


def renditions_of(options: Options) -> tuple[Rendition, ...]:
    """The main one and then the smaller ones, largest first."""
    width, height = options.frame_size
    found = [Rendition("", encoding_of(options))]
    for size in options.renditions:
        wide, high = (edge * size // min(width, height) // 2 * 2 for edge in (width, height))
        found.append(
            Rendition(f"-{size}", Encoding("h264", wide, high, default_crf("h264", options.effort), options.effort))
        )
    return tuple(found)


def encoding_of(options: Options) -> Encoding:
    width, height = options.frame_size
    return Encoding(options.codec, width, height, options.crf, options.effort)


def marks_of(title: str, chain: str, options: Options, key: str) -> TitleMarks:
    """The marks of a title; the payload stands for its id and for all that its chain is made of, but for retakes.

    In scenes for its id alone: a scene's pictures stay as they are, whatever becomes of the others.
    """
    wanted = options.marks == "on"
    fits = min(options.frame_size) >= SMALLEST
    names = (title, chain) if options.scenes == "one" else (title,)
    return TitleMarks(
        payload=payload_of(*names) if wanted and fits else "",
        key=key,
        badge=options.badge,
        wanted=wanted,
        subject=options.subject,
        consent=options.consent,
    )


def digest(facts: object) -> str:
    """SHA-256 of the canonical JSON of plain data."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, separators=(",", ":"), default=str).encode()).hexdigest()


def weights_hash(files: Iterable[tuple[str, str]]) -> str:
    """sha256 over sorted (file name, sha256)."""
    return digest(sorted(files))


def title_hashes(
    *,
    family: Family,
    weights: str,
    seed: int,
    frames: int,
    prompts: tuple[tuple[int, str], ...],
    options: Options,
    portrait: Stored,
    audio: tuple[Stored, ...],
    metadata: Metadata,
    reading: str = "",
    canvas_reading: str = "",
    title: str = "",
    mark_key: str = "public",
    signer: str = "",
    treatments: Sequence[dict[str, object]] = (),
    speakers: Sequence[Speaker] = (),
    retakes: Sequence[Retake] = (),
    gate: str = "",
) -> Hashes:
    """Hashes of the title of that id; `options` are complete (defaults filled in).

    `treatments`: what is done with each sound file beyond decoding it (`AudioFacts.treatment`); `reading`,
    `canvas_reading`: how the numbers of portrait and `canvas_fill` are taken where earlier versions did otherwise;
    `gate`: the identity of what looks at its GOPs, if anything does.
    """
    # What separates the voice is one of the weights; without it no weights matter to the sound.
    separated = [weights] if options.vocals == "separate" else []
    treated = [list(treatments)] if any(treatments) else []  # else everything is as it was before there were any
    sound = digest([SOUND_REVISION, ffmpeg.version(), frames, [one.sha256 for one in audio], *separated, *treated])
    chain = digest(
        {
            "sound": sound,
            "family": family.name,
            "weights": weights,
            "revision": family.chain_revision,
            "portrait": portrait.sha256,
            "seed": seed,
            "prompts": prompts,
            "options": chosen_of(options, "chain"),
            **({"scenes": [*parting_of(options, metadata), options.join]} if options.scenes != "one" else {}),
            **({"reading": reading} if reading else {}),
            **({"speakers": [one.identity() for one in speakers]} if speakers else {}),
            **({"gate": gate} if gate else {}),
        }
    )
    untaken = chain
    if retakes:
        chain = digest([untaken, *(one.identity() for one in retakes), options.join])
    burnt = burnt_of(options, metadata)
    picture = digest({"chain": chain, **shown_of(family, options, burnt, canvas_reading)})
    stream = digest({"picture": picture, **encoded_of(title, untaken, options, mark_key)})
    declared = {"subject": options.subject, "consent": options.consent}
    written: dict[str, object] = {"stream": stream, "publishing": metadata.identity(), "declared": declared}
    if signer and options.marks == "on":  # as it was before who signs was part of it
        written["signer"] = signer
    file = digest(written)
    return Hashes(sound, chain, picture, stream, file)


def chosen_of(options: Options, level: str) -> dict[str, object]:
    values = options.values()
    return {name: values[name] for name in options_entering(level) if name not in _APART}


def parting_of(options: Options, metadata: Metadata) -> list[object]:
    """What says where scenes begin, beside the sound."""
    chapters = [chapter.start for chapter in metadata.chapters] if options.scenes == "chapters" else []
    return [scene_borders.REVISION, options.scenes, chapters]


def burnt_of(options: Options, metadata: Metadata) -> str | None:
    return metadata.captions.sha256 if options.burn_captions and metadata.captions else None


def shown_of(family: Family, options: Options, burnt: str | None, canvas_reading: str) -> dict[str, object]:
    """What pictures are made of beside the chain."""
    # Without these everything is as it was before there were any.
    newer = {"plate": "off", "enlarge": "x2"}
    looks = {name: value for name, value in chosen_of(options, "picture").items() if newer.get(name) != value}
    # Of the frame only the picture's size counts, where it is no square.
    del looks["frame"]
    if options.film not in (None, (options.resolution, options.resolution)):
        looks["film"] = options.film
    shown = {"revision": family.picture_revision, "canvas_revision": CANVAS_REVISION, "options": looks}
    return shown | {"captions": burnt} | ({"canvas reading": canvas_reading} if canvas_reading else {})


def encoded_of(title: str, chain: str, options: Options, mark_key: str) -> dict[str, object]:
    """What fragments are made of beside the pictures."""
    return {
        "revision": STREAM_REVISION,
        "encodings": [one.encoding.identity() for one in renditions_of(options)],
        "marks": marks_of(title, chain, options, mark_key).identity(),
    }
