"""What a title costs before it is rendered: bytes in the store, scratch space, accelerator time, wall time.

Figures are planning figures. Each says where it comes from; a family without one of its own here uses those that it
carries, which hold for one processor worker.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import TypedDict

from models.families.protocol import Family
from models.families.registry import FAMILIES
from pipeline.core.errors import UserError
from pipeline.core.timeline import CLIP, FPS, SPEECH_PER_FRAME
from pipeline.manifest.option_fields import DEFAULT_CRF
from pipeline.manifest.options import Options
from pipeline.media.sound import BITRATE, MUSIC_RATE
from pipeline.titles.scenes import expected
from pipeline.titles.title_plan import TitlePlan

# -- speed --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Speed:
    """One worker of a family on a class of device.

    `seconds_per_clip`: to sample one in one lane at `base_size` and `steps`, with guidance if `guided`.
    `seconds_per_frame`: to decode and restore one at `base_size`; `megapixel`: seconds for every million pixels that
    the background's ×2 passes write.
    """

    family: str
    device: str
    base_size: int
    steps: int
    guided: bool
    seconds_per_clip: float
    seconds_per_frame: float
    megapixel: float
    source: str


# Work of the published networks in TFLOP (2 per multiply-add), counted from their layers:
_DECODE = 2.5  # autoencoder, one frame of 512²
_RESTORE = 0.82 * 16 / 12  # codebook restorer, one frame; windows of 16 keep 12
_X2_MEGAPIXEL = 2.24  # ×2 enlarger, a million pixels written (2.35 for 512² to 1024²)

UNGUIDED = 0.53  # of a guided clip: 1.18 against 2.21 PFLOP in 40 steps
LANCZOS_MEGAPIXEL = 0.02  # seconds: cubic enlargement of 512² to 4096² took 0.27 s on two cores


def _published(device: str, clip: float, rate: float, source: str) -> Speed:
    """Family hallo2 at 512², 40 guided steps. `rate`: TFLOP/s that the high-resolution stage reaches."""
    frame, megapixel = (_DECODE + _RESTORE) / rate, _X2_MEGAPIXEL / rate
    return Speed("hallo2", device, 512, 40, True, clip, frame, megapixel, source)


# The first line of a family is its default. Nobody has published timings of the high-resolution stage: except on the
# H100 it is taken to reach the rate that the chain's measured time amounts to, 2.37 PFLOP a clip.
SPEEDS = (
    # Counted, not timed: 2.21 PFLOP a clip at half of the card's 790 dense TFLOP/s, 2.5 times its floor for the rest.
    _published("h100", 5.5, 316, "counted: half of the card's arithmetic peak for the chain, 40 % for upscaling"),
    # The Hallo paper's 1.63 s a frame; the same network.
    _published("a100", 26.0, 92, "published code: 1.63 s a frame (Hallo paper)"),
    # github.com/fudan-generative-vision/hallo/issues/28: 571 s for 12 s of sound.
    _published("rtx4090", 30.0, 79, "published code: 571 s for 12 s of sound (a user's report)"),
    # github.com/fudan-generative-vision/hallo/issues/15: 4 s in about 7 minutes.
    _published("rtx3090", 60.0, 39, "published code: 7 minutes for 4 s of sound (a user's report)"),
    # github.com/fudan-generative-vision/hallo/issues/28: 9 s in 20 minutes.
    _published("l4", 80.0, 30, "published code: 20 minutes for 9 s of sound (a user's report)"),
    # The demo and two titles of its length at 512², workers of one thread: 0.53 s for a GOP's 3 clips, 9.3 s for its
    # frames at 512², 12.3 to 13.5 s at 1024².
    Speed("mini", "cpu", 512, 1, False, 0.18, 0.19, 0.07, "measured on one thread of a two-core machine"),
)

# ×2 to 1024², a small network on two cores: 41 to 46 ms.
_CPU_MEGAPIXEL = 0.04


def speed_of(family: Family, device: str | None = None) -> Speed:
    """Planning figures of a family, on its first device unless one is named. Raises UserError."""
    known = [speed for speed in SPEEDS if speed.family == family.name] or [_carried(family)]
    for speed in known:
        if device in (None, speed.device):
            return speed
    has = ", ".join(speed.device for speed in known)
    raise UserError(
        f"device {device}: no figures for family {family.name} on it; expected {has}; choose one with --device, or "
        "under `device` in the file of --cluster"
    )


def _carried(family: Family) -> Speed:
    return Speed(
        family=family.name,
        device="cpu",
        base_size=family.base_sizes[0],
        steps=family.default_steps,
        guided=family.default_guidance > 1,
        seconds_per_clip=family.seconds_per_clip,
        seconds_per_frame=family.seconds_per_frame,
        megapixel=_CPU_MEGAPIXEL,
        source="the family's planning figures for one processor worker",
    )


def devices() -> list[str]:
    """All classes of device with figures."""
    return sorted({speed.device for speed in SPEEDS} | {"cpu"})


def clip_seconds(speed: Speed, options: Options) -> float:
    """Seconds of one clip: in proportion to steps and pixels; guidance costs a second evaluation.

    What `deep_every` saves is left out: it has not been timed.
    """
    share = options.guided_share if options.guidance_scale > 1 else 0.0
    factor = (share + (1 - share) * UNGUIDED) / (1.0 if speed.guided else UNGUIDED)
    return speed.seconds_per_clip * factor * options.steps / speed.steps * (options.base_size / speed.base_size) ** 2


def frame_seconds(speed: Speed, options: Options) -> float:
    """Seconds of one frame from latents to planes; the encoder's processor time comes in addition."""
    base = speed.seconds_per_frame * (options.base_size / speed.base_size) ** 2
    if options.background == "lanczos":
        return base + LANCZOS_MEGAPIXEL * options.resolution**2 / 1e6
    written, edge = 0.0, options.base_size
    once = options.enlarge == "published"
    while edge < options.resolution and not (once and written):  # ×2 passes up to the next size, then one resize
        edge *= 2
        written += edge**2 / 1e6
    return base + speed.megapixel * written


# -- bytes --------------------------------------------------------------------------------------------------------

# Bytes of audio features a frame: 64 bits of fake, four float32 spectra of 80 bands of mini; by default 12 layers of
# 768 numbers in half precision (wav2vec2-base).
FEATURE_BYTES = {"fake": 8, "mini": 4 * 80 * 4, "photo": 7 * 80 * 4}
WAV2VEC_BYTES = 12 * 768 * 2
# Bytes that the prepared portrait takes for every pixel of the base frame: 6.1 MB at 512², measured with mini.
CONDITIONING_BYTES = {"fake": 0}
PORTRAIT_BYTES = 23
PIXEL_STATE_BYTES = 3 * 4  # of one pixel of a carried frame: three float32
RECORD_BYTES = 1500  # a commit record, measured
# Megabits a second of a talking head at 1024² and the codec's default crf: a rule of thumb, the sound's portrait
# and background decide. Rates grow with the pixels to the power 0.75 and halve for 6 steps of crf, as encoders do.
MEGABITS = {"h264": 1.6, "hevc": 1.1, "av1": 0.9}
RATE_POWER = 0.75
CRF_HALVES = {"h264": 6.0, "hevc": 6.0, "av1": 10.0}


@dataclass(frozen=True)
class Bytes:
    """Objects of one title in the store. `fragments` and `final` are estimates, the others are exact to a percent."""

    inputs: int
    sound: int
    conditioning: int
    features: int
    latents: int
    state: int
    fragments: int
    final: int
    records: int

    @property
    def total(self) -> int:
        return sum(asdict(self).values())

    def kept(self, keep: str) -> int:
        """What stays once `gc` has removed what the title's `keep` allows."""
        if keep == "all":
            return self.total
        return self.final + self.records + (self.fragments + self.sound if keep == "final+hls" else 0)

    def as_json(self, keep: str) -> dict[str, int]:
        return {**asdict(self), "total": self.total, "kept": self.kept(keep)}


def stream_bytes(options: Options, frames: int) -> int:
    """Estimate of the encoded pictures; what fills a canvas stands still and costs next to nothing."""
    bits = MEGABITS[options.codec] * 1e6 * (min(options.frame_size) / 1024) ** (2 * RATE_POWER)
    bits *= 2 ** ((DEFAULT_CRF[options.codec] - options.crf) / CRF_HALVES[options.codec])
    bits += sum(MEGABITS["h264"] * 1e6 * (size / 1024) ** (2 * RATE_POWER) for size in options.renditions)
    return int(bits / 8 * frames / FPS)


def sound_bytes(plan: TitlePlan) -> tuple[int, int]:
    """(one encoded track, speech): the store holds the track twice, once as fragments."""
    channels = min(2, max(fact.channels for fact in plan.audio_facts))
    return BITRATE[channels] // 8 * plan.frames // FPS, plan.frames * SPEECH_PER_FRAME * 2


def store_bytes(plan: TitlePlan) -> Bytes:
    family, options = plan.constants, plan.options
    channels, height, width = family.latent_shape(options.base_size)
    latent = channels * height * width * family.latent_bytes
    state = latent if family.carry == "latents" else options.base_size**2 * PIXEL_STATE_BYTES
    track, speech = sound_bytes(plan)
    pictures = stream_bytes(options, plan.frames)
    scenes = len(expected(plan))
    return Bytes(
        inputs=plan.portrait.size + sum(one.size for one in plan.audio),
        sound=2 * track + speech,
        conditioning=max(1, scenes) * options.base_size**2 * CONDITIONING_BYTES.get(family.name, PORTRAIT_BYTES),
        features=plan.clips * CLIP * FEATURE_BYTES.get(family.name, WAV2VEC_BYTES),
        latents=plan.frames * latent,
        state=plan.gops * family.motion_frames * state,
        fragments=pictures * (2 if scenes else 1),  # a scene's own, and the same at their places in the film
        final=pictures + track,
        records=((3 if scenes else 2) * plan.gops + plan.blocks + 3 + 2 * scenes) * RECORD_BYTES,
    )


def scratch_bytes(plan: TitlePlan) -> int:
    """Most that one worker holds on its local disk: inputs and sound while preparing, the file while finishing.

    A file that is signed is there three times: joined, as the signing library's own copy, and signed. Of renditions one
    is in hand at a time; all are counted, because the largest is not known beforehand.
    """
    track, speech = sound_bytes(plan)
    music = plan.frames * MUSIC_RATE * 2 * 4 // FPS if plan.options.vocals == "separate" else 0
    preparing = sum(one.size for one in plan.audio) + 2 * track + speech + music
    copies = 3 if plan.marks.wanted else 1
    return max(preparing, copies * store_bytes(plan).final + track)


# -- a catalog ----------------------------------------------------------------------------------------------------


class CostFacts(TypedDict):
    """A title's cost as JSON has it."""

    id: str
    family: str
    device: str
    seconds: float
    frames: int
    clips: int
    gops: int
    resolution: int
    codec: str
    store_bytes: dict[str, int]
    scratch_bytes: int
    accelerator_hours: dict[str, float]
    wall_seconds: float


class TotalFacts(TypedDict):
    """The same of a catalog."""

    titles: int
    seconds: float
    frames: int
    clips: int
    gops: int
    store_bytes: dict[str, int]
    scratch_bytes: int
    accelerator_hours: dict[str, float]
    wall_seconds: float


@dataclass(frozen=True)
class Cost:
    """Cost of one title. Seconds are those of one worker on the device; `wall` is with the workers assumed."""

    plan: TitlePlan
    device: str
    chain: float
    upscale: float
    wall: float

    def as_json(self) -> CostFacts:
        plan, options = self.plan, self.plan.options
        return {
            "id": plan.id,
            "family": plan.family,
            "device": self.device,
            "seconds": plan.frames / FPS,
            "frames": plan.frames,
            "clips": plan.clips,
            "gops": plan.gops,
            "resolution": options.resolution,
            "codec": options.codec,
            "store_bytes": store_bytes(plan).as_json(options.keep),
            "scratch_bytes": scratch_bytes(plan),
            "accelerator_hours": hours(self.chain, self.upscale),
            "wall_seconds": round(self.wall, 3),
        }


def hours(chain: float, upscale: float) -> dict[str, float]:
    parts = {"chain": chain / 3600, "upscale": upscale / 3600, "total": (chain + upscale) / 3600}
    return {name: round(value, 6) for name, value in parts.items()}


def cost_of(plan: TitlePlan, device: str | None = None, upscalers: int = 1, chains: int = 1) -> Cost:
    speed = speed_of(FAMILIES[plan.family], device)
    clips = sum(-(-scene.needed_frames // CLIP) for scene in expected(plan)) or plan.clips
    chain = clips * clip_seconds(speed, plan.options)
    frame = frame_seconds(speed, plan.options)
    alone = Cost(plan, speed.device, chain, plan.frames * frame, 0.0)
    return replace(alone, wall=catalog_wall([alone], chains, upscalers))


def _last_segment(plan: TitlePlan, frame: float) -> float:
    """Seconds for what is left to upscale when the chain ends: one segment."""
    return min(plan.options.segment_frames, plan.frames) * frame


def _wall(chain: float, upscale: float, upscalers: int, last: float) -> float:
    """Stages overlap, so the slower one decides; the end of the chain is upscaled after it."""
    return max(chain + last, upscale / upscalers)


def sequences(cost: Cost) -> list[float]:
    """Seconds of a title's chains: of each of its scenes, else of the whole."""
    frames = [scene.needed_frames for scene in expected(cost.plan)]
    return [cost.chain * count / sum(frames) for count in frames] or [cost.chain]


def catalog_wall(costs: Sequence[Cost], chains: int, upscalers: int) -> float:
    """Wall time of a catalog: titles go to chain workers longest first, each is sequential, or each of its scenes;
    upscalers share all."""
    ends = [0.0] * chains
    last = 0.0
    chained = sorted((seconds for cost in costs for seconds in sequences(cost)), reverse=True)
    for seconds in chained:
        heapq.heapreplace(ends, ends[0] + seconds)
    for cost in costs:
        last = max(last, _last_segment(cost.plan, cost.upscale / cost.plan.frames))
    return _wall(max(ends), sum(cost.upscale for cost in costs), upscalers, last)


def total_of(costs: Sequence[Cost], chains: int, upscalers: int) -> TotalFacts:
    """The catalog's sums; scratch is the most that any title needs."""
    titles = [cost.as_json() for cost in costs]
    names = [field.name for field in fields(Bytes)] + ["total", "kept"]
    return {
        "titles": len(titles),
        "seconds": sum(title["seconds"] for title in titles),
        "frames": sum(title["frames"] for title in titles),
        "clips": sum(title["clips"] for title in titles),
        "gops": sum(title["gops"] for title in titles),
        "store_bytes": {name: sum(title["store_bytes"][name] for title in titles) for name in names},
        "scratch_bytes": max((title["scratch_bytes"] for title in titles), default=0),
        "accelerator_hours": hours(sum(cost.chain for cost in costs), sum(cost.upscale for cost in costs)),
        "wall_seconds": round(catalog_wall(costs, chains, upscalers), 3),
    }
