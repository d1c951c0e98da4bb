"""The plan of one title: everything that its workers need to know, and where its records lie."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from models.families.protocol import ClipOptions, Family, PictureOptions
from models.families.registry import FAMILIES
from pipeline.core import timeline
from pipeline.core.pieces import Interval
from pipeline.manifest.catalog import Options
from pipeline.media import ffmpeg
from pipeline.media.encode import Encoding
from pipeline.media.sound_in.facts import AudioFacts
from pipeline.provenance.title_marks import TitleMarks
from pipeline.store.record import Stored
from pipeline.store.stages import STAGES, folder
from pipeline.titles import title_hashes
from pipeline.titles.metadata import Metadata
from pipeline.titles.title_hashes import (
    Hashes,
    Rendition,
    Retake,
    Speaker,
    burnt_of,
    digest,
    encoding_of,
    marks_of,
    parting_of,
    renditions_of,
)


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
                value = digest([title_hashes.LOUDNESS_REVISION, self.hashes.sound, self.metadata.loudness])
            case "scenes":
                burnt = burnt_of(self.options, self.metadata)
                retakes = [[one.start, one.stop] for one in self.retakes]
                parting = parting_of(self.options, self.metadata)
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
            "sound revision": title_hashes.SOUND_REVISION,
            "loudness revision": title_hashes.LOUDNESS_REVISION if self.heard == "loudness" else None,
            "chain revision": self.constants.chain_revision,
            **({"gate": self.gate} if self.gate else {}),
            "picture revision": self.constants.picture_revision,
            "canvas revision": title_hashes.CANVAS_REVISION,
            "stream revision": title_hashes.STREAM_REVISION,
            "marks revision": self.marks.identity()["revision"],
            "encoders": [one.encoding.identity() for one in self.renditions],
        }


def with_hashes(plan: TitlePlan) -> TitlePlan:
    """The plan of a title, not of a scene, with the hashes that follow from all else that it says."""
    untaken = hashes_of(replace(plan, retakes=())) if plan.retakes else None
    return replace(plan, hashes=hashes_of(plan), untaken=untaken)


def hashes_of(plan: TitlePlan) -> Hashes:
    """The hashes of a title, not of a scene, from all else that its plan says."""
    return title_hashes.title_hashes(
        family=plan.constants,
        weights=plan.weights_hash,
        seed=plan.seed,
        frames=plan.frames,
        prompts=plan.prompts,
        options=plan.options,
        portrait=plan.portrait,
        audio=plan.audio,
        metadata=plan.metadata,
        reading=plan.portrait_reading,
        canvas_reading=plan.canvas_reading,
        title=plan.id,
        mark_key=plan.mark_key,
        signer=plan.signer,
        treatments=[fact.treatment() for fact in plan.audio_facts],
        speakers=plan.speakers,
        retakes=plan.retakes,
        gate=plan.gate,
    )
