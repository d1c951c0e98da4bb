"""The plan of one title: everything that its workers need to know, and the hashes that name what it becomes.

Each hash contains its parent's: sound and chain, then picture, then stream. Another hash is another prefix, so nothing
is ever mixed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from models.families.protocol import ClipOptions, Family, PictureOptions
from models.families.registry import FAMILIES
from pipeline.core import timeline
from pipeline.core.pieces import Interval
from pipeline.manifest.catalog import Options, options_entering
from pipeline.manifest.options import default_crf
from pipeline.media import ffmpeg
from pipeline.media.encode import Encoding
from pipeline.media.sound_in.facts import AudioFacts
from pipeline.provenance.title_marks import TitleMarks
from pipeline.provenance.watermark import SMALLEST
from pipeline.provenance.watermark_code import payload_of
from pipeline.store.record import Stored
from pipeline.store.stages import STAGES, folder
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
class SceneOf:
    """Where a scene stands in its title (`number` from 0, `first` GOP), and its speech: sha256, and how loud it is.

    `shown`: what the film shows of it, in GOPs of the film. `whole`: it is a title in one piece, as that is without its
    retakes. `larger`: its pictures are (`join: punch`).
    """

    number: int
    first: int
    speech: str
    level: float
    shown: tuple[Interval, ...]
    whole: bool = False
    larger: bool = False


@dataclass(frozen=True)
class TitlePlan:
    """A title with its inputs resolved: `portrait` and `audio` lie in the output store, named by content.

    Or one of its scenes (`pipeline.titles.scenes`): then frames, prompts and hashes are the scene's.
    """

    id: str
    family: str
    weights: tuple[tuple[str, Stored], ...]  # the family's files by name, as they lie in the store
    weights_hash: str
    seed: int
    priority: int
    frames: int
    prompts: tuple[tuple[int, str], ...]  # (clip from which it holds, text), ascending
    options: Options
    portrait: Stored
    audio: tuple[Stored, ...]
    audio_facts: tuple[AudioFacts, ...]
    face_embedding: Stored | None
    hashes: Hashes
    canvas_image: Stored | None = None  # what canvas_fill names, if it names a picture
    metadata: Metadata = field(default_factory=Metadata)
    mark_key: str = "public"  # name of the watermark's key
    signer: str = ""  # name of the identity that signs the finished file; empty: one made up for the occasion
    own_weights: bool = False  # weights that the manifest names, not the family's
    given_title: str | None = None  # as the manifest has it; None: the sound file's
    given_chapters: tuple[tuple[int, str], ...] = ()  # (milliseconds, title) as the manifest has them
    audio_names: tuple[str, ...] = ()  # of the sound files, for messages
    portrait_reading: str = ""  # how its numbers are taken, where earlier versions took them otherwise
    canvas_reading: str = ""  # the same of canvas_image
    scene: SceneOf | None = None
    speakers: tuple[Speaker, ...] = ()  # of the chapters in order, where any has a portrait of its own
    retakes: tuple[Retake, ...] = ()  # in order of time
    untaken: Hashes | None = None  # those of the title without its retakes, where it has any
    gate: str = ""  # identity of what looks at its GOPs (`Gate.identity`); empty: nothing does

    @property
    def name(self) -> str:
        """As work is handed out: the title's id, of a scene `<id>@<number>`."""
        return self.id if self.scene is None else f"{self.id}@{self.scene.number}"

    @property
    def in_scenes(self) -> bool:
        """Whether its pictures are made scene by scene, each by a plan of its own."""
        return self.scene is None and (self.options.scenes != "one" or bool(self.retakes))

    @property
    def first_frame(self) -> int:
        """Of a scene, in its title."""
        return 0 if self.scene is None else self.scene.first * timeline.GOP

    @property
    def gops(self) -> int:
        return timeline.gops_of(self.frames)

    @property
    def shown_gops(self) -> tuple[Interval, ...]:
        """Which of its own GOPs are shown: of a scene that is partly taken anew not all."""
        if self.scene is None:
            return ((0, self.gops),)
        return tuple((first - self.scene.first, stop - self.scene.first) for first, stop in self.scene.shown)

    @property
    def needed_frames(self) -> int:
        """Frames from the first on that are chained, be it for what follows them."""
        return min(self.shown_gops[-1][1] * timeline.GOP, self.frames)

    @property
    def clips(self) -> int:
        return timeline.clips_of(self.frames)

    @property
    def blocks(self) -> int:
        """Blocks of audio features."""
        return -(-self.frames // self.constants.feature_block)

    @property
    def constants(self) -> Family:
        return FAMILIES[self.family]

    def text_of(self, clip: int) -> str | None:
        """The prompt that holds in a clip."""
        texts = [text for start, text in self.prompts if start <= clip]
        return texts[-1] if texts else None

    def prefix(self, stage: str) -> str:
        """Where the records of a stage lie, relative to the output."""
        if stage not in STAGES:
            raise ValueError(f"stage {stage!r}: expected one of {', '.join(STAGES)}")
        name = STAGES[stage].hash
        match name:
            case "loudness":
                value = digest([LOUDNESS_REVISION, self.hashes.sound, self.metadata.loudness])
            case "scenes":
                burnt = _burnt(self.options, self.metadata)
                retakes = [[one.start, one.stop] for one in self.retakes]
                parting = _parting(self.options, self.metadata)
                value = digest([self.hashes.sound, *parting, burnt, *([retakes] if retakes else [])])
            case "sound" | "chain" | "stream":
                value = getattr(self.hashes, name)
        return folder(stage, f"{self.id}/{name}/{value[:16]}")

    def init_key(self, suffix: str = "") -> str:
        """Where the header lies that every fragment of a rendition follows."""
        return f"{self.prefix('stream').rpartition('/')[0]}/init{suffix}.mp4"

    @property
    def renditions(self) -> tuple[Rendition, ...]:
        return renditions_of(self.options)

    @property
    def portraits(self) -> tuple[Stored, ...]:
        """Of everybody who speaks in the title."""
        others = [*(one.portrait for one in self.speakers), *(one.portrait for one in self.retakes)]
        return tuple(dict.fromkeys([self.portrait, *(one for one in others if one)]))

    @property
    def heard(self) -> str:
        """The stage whose sound people hear."""
        return "sound" if self.metadata.loudness is None else "loudness"

    @property
    def plain_options(self) -> dict[str, object]:
        return self.options.values()

    @property
    def clip_options(self) -> ClipOptions:
        o = self.options
        return ClipOptions(
            steps=o.steps,
            guidance_scale=o.guidance_scale,
            base_size=o.base_size,
            compat=o.compat,
            guided_share=o.guided_share,
            deep_every=o.deep_every,
            solver=o.solver,
            linears=o.linears,
            compiled=o.compile == "on",
            devices=o.guidance_devices,
        )

    @property
    def picture_options(self) -> PictureOptions:
        o = self.options
        return PictureOptions(o.base_size, o.resolution, o.fidelity, o.background, o.compat, o.plate, o.enlarge, o.film)

    @property
    def marks(self) -> TitleMarks:
        return marks_of(self.id, (self.untaken or self.hashes).chain, self.options, self.mark_key)

    @property
    def encoding(self) -> Encoding:
        return encoding_of(self.options)

    def made_with(self) -> dict[str, object]:
        """What hashes hold beside what was asked for: programs and revisions, by name."""
        return {
            "ffmpeg": ffmpeg.version(),
            "sound revision": SOUND_REVISION,
            "loudness revision": LOUDNESS_REVISION if self.heard == "loudness" else None,
            "chain revision": self.constants.chain_revision,
            **({"gate": self.gate} if self.gate else {}),
            "picture revision": self.constants.picture_revision,
            "canvas revision": CANVAS_REVISION,
            "stream revision": STREAM_REVISION,
            "marks revision": self.marks.identity()["revision"],
            "encoders": [one.encoding.identity() for one in self.renditions],
        }


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
            "options": _chosen(options, "chain"),
            **({"scenes": [*_parting(options, metadata), options.join]} if options.scenes != "one" else {}),
            **({"reading": reading} if reading else {}),
            **({"speakers": [one.identity() for one in speakers]} if speakers else {}),
            **({"gate": gate} if gate else {}),
        }
    )
    untaken = chain
    if retakes:
        chain = digest([untaken, *(one.identity() for one in retakes), options.join])
    burnt = _burnt(options, metadata)
    picture = digest({"chain": chain, **_shown(family, options, burnt, canvas_reading)})
    stream = digest({"picture": picture, **_encoded(title, untaken, options, mark_key)})
    declared = {"subject": options.subject, "consent": options.consent}
    written: dict[str, object] = {"stream": stream, "publishing": metadata.identity(), "declared": declared}
    if signer and options.marks == "on":  # as it was before who signs was part of it
        written["signer"] = signer
    file = digest(written)
    return Hashes(sound, chain, picture, stream, file)


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
            "options": _chosen(plan.options, "chain"),
            "reading": plan.portrait_reading,
            **({"gate": plan.gate} if plan.gate else {}),
        }
    )
    shown = _shown(plan.constants, plan.options, captions or None, plan.canvas_reading)
    picture = digest({"chain": chain, **shown, **({"larger": PUNCH_REVISION} if larger else {})})
    marked = plan.untaken.chain if plan.untaken else chain
    stream = digest({"picture": picture, **_encoded(plan.id, marked, plan.options, plan.mark_key)})
    return replace(plan.hashes, chain=chain, picture=picture, stream=stream)


def _chosen(options: Options, level: str) -> dict[str, object]:
    values = options.values()
    return {name: values[name] for name in options_entering(level) if name not in _APART}


def _parting(options: Options, metadata: Metadata) -> list[object]:
    """What says where scenes begin, beside the sound."""
    chapters = [chapter.start for chapter in metadata.chapters] if options.scenes == "chapters" else []
    return [scene_borders.REVISION, options.scenes, chapters]


def _burnt(options: Options, metadata: Metadata) -> str | None:
    return metadata.captions.sha256 if options.burn_captions and metadata.captions else None


def _shown(family: Family, options: Options, burnt: str | None, canvas_reading: str) -> dict[str, object]:
    """What pictures are made of beside the chain."""
    # Without these everything is as it was before there were any.
    newer = {"plate": "off", "enlarge": "x2"}
    looks = {name: value for name, value in _chosen(options, "picture").items() if newer.get(name) != value}
    # Of the frame only the picture's size counts, where it is no square.
    del looks["frame"]
    if options.film not in (None, (options.resolution, options.resolution)):
        looks["film"] = options.film
    shown = {"revision": family.picture_revision, "canvas_revision": CANVAS_REVISION, "options": looks}
    return shown | {"captions": burnt} | ({"canvas reading": canvas_reading} if canvas_reading else {})


def _encoded(title: str, chain: str, options: Options, mark_key: str) -> dict[str, object]:
    """What fragments are made of beside the pictures."""
    return {
        "revision": STREAM_REVISION,
        "encodings": [one.encoding.identity() for one in renditions_of(options)],
        "marks": marks_of(title, chain, options, mark_key).identity(),
    }
