"""How a head moves while it speaks, 25 frames a second: sampled from a seed, the mouth given by the sound.

Two manners. A *free* speaker's head wanders, the eyes jump and lids close by chance. A *composed* speaker moves with
the sound alone: the head leans into speech and comes back in pauses, where the lids close. What a composed speaker does
next can be told from portrait, sound and the frames before, so a small network learns it without blurring what it
cannot know.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from models.drawn.expressions import EXPRESSIONS, HEAD_POSES
from models.drawn.mouth import MouthTargets
from models.drawn.pose import Pose
from models.families.noise_keys import noise_key

RATE = 25
BLINKS_A_SECOND = 0.25
BLINK = (0.55, 1.0, 0.85, 0.35)  # how closed the lids are: 160 ms
BLINK_GAP = 12  # frames
# Standard deviations of a reader who sits before a camera: radians, and shares of half the picture.
YAW, PITCH, ROLL = 0.07, 0.03, 0.02
SHIFT, SCALE = 0.006, 0.005
# A composed speaker: how fast the head follows the mouth's opening, and how far, in radians for a mouth wide open.
LEAN, LEANS_AT, LEAN_YAW, LEAN_ROLL = 0.06, 0.3, 0.16, 0.07
PAUSE, SPOKEN = 0.12, 0.22  # smoothed opening below which a pause has begun, and above which speech has
CHANGE = 0.12  # of the way to a new expression, every frame


@dataclass(frozen=True)
class Direction:
    """What the text asks for from a frame on."""

    start: int
    expression: str = "neutral"
    strength: float = 1.0
    head_pose: str | None = None


def motion(
    seed: int, mouth: MouthTargets, directions: tuple[Direction, ...] = (Direction(0),), *, composed: bool = False
) -> Pose:
    """Poses [f] of a speaking head. The same seed, sound and directions give the same poses."""
    frames = len(mouth.opening)
    generator = torch.Generator().manual_seed(noise_key(seed, "motion", 0))
    asked = _asked(directions, frames)
    loud = _lag(mouth.opening, 0.12)
    stress = (loud - _lag(loud, 0.03)).clamp(-0.3, 0.5)

    def by_chance(seconds: float) -> Tensor:
        """Of unit variance; a composed speaker stays where a free one happens to be."""
        return torch.randn(1, generator=generator).expand(frames) if composed else wander(frames, seconds, generator)

    still = torch.zeros(frames)
    lean = _lag(mouth.opening, LEAN) - LEANS_AT if composed else still
    yaw = by_chance(1.4) * YAW + LEAN_YAW * lean + asked["yaw"]
    pitch = by_chance(1.1) * PITCH - 0.1 * stress
    roll = by_chance(1.6) * ROLL + LEAN_ROLL * lean
    drift_x, drift_y = by_chance(2.0), by_chance(2.0)
    gaze_x, gaze_y = (still, still) if composed else _saccades(frames, generator)
    nearer = by_chance(2.5)
    blink = _blinks_at_pauses(mouth.opening) if composed else _blinks(frames, generator)
    lids, brow, smile = (still if composed else wander(frames, seconds, generator) for seconds in (1.0, 0.8, 1.5))
    speech = mouth.opening
    return Pose(
        yaw=yaw.clamp(-0.5, 0.5),
        pitch=pitch.clamp(-0.22, 0.22),
        roll=roll.clamp(-0.16, 0.16),
        shift_x=SHIFT * drift_x + 0.1 * yaw,
        shift_y=SHIFT * drift_y + 0.02 * stress,
        scale=1 + SCALE * nearer,
        gaze_x=(gaze_x - 1.2 * yaw).clamp(-1, 1),  # the eyes stay with the viewer
        gaze_y=(gaze_y + 1.5 * pitch).clamp(-1, 1),
        blink=blink,
        lids=asked["lids"] + 0.03 * lids,
        squint=asked["squint"].clamp(0, 1),
        brow=(asked["brow"] + 0.08 * brow + 0.7 * stress.clamp_min(0)).clamp(-1, 1.2),
        brow_inner=asked["brow_inner"],
        brow_uneven=asked["brow_uneven"],
        smile=asked["smile"] * (1 - 0.35 * speech) + 0.05 * smile,
        opening=(speech + asked["opening"] * (1 - speech)).clamp(0, 1),
        width=mouth.width,
        rounding=mouth.rounding,
        teeth=(mouth.teeth + 0.5 * asked["smile"].clamp(0, 1) * speech.clamp_max(0.5)).clamp(0, 1),
    )


def stills(number: int, generator: Generator) -> Pose:
    """Unrelated poses over the whole range of motion: what an autoencoder must be able to show."""

    def normal(spread: float, limit: float) -> Tensor:
        return (torch.randn(number, generator=generator) * spread).clamp(-limit, limit)

    def uniform(low: float = 0.0, high: float = 1.0) -> Tensor:
        return low + (high - low) * torch.rand(number, generator=generator)

    shut = (uniform() < 0.2).float()
    return Pose(
        yaw=normal(0.2, 0.5),
        pitch=normal(0.07, 0.22),
        roll=normal(0.05, 0.16),
        shift_x=normal(0.04, 0.12),
        shift_y=normal(0.02, 0.06),
        scale=1 + normal(0.03, 0.08),
        gaze_x=normal(0.4, 1),
        gaze_y=normal(0.3, 1),
        blink=shut * uniform(),
        lids=uniform(0.45, 1.3),
        squint=uniform() * (uniform() < 0.4),
        brow=normal(0.5, 1.2),
        brow_inner=normal(0.4, 1),
        brow_uneven=normal(0.3, 1),
        smile=normal(0.5, 1),
        opening=(uniform(-0.35, 1)).clamp_min(0),
        width=uniform(-1, 1),
        rounding=uniform() * (uniform() < 0.5),
        teeth=uniform(),
    )


def wander(frames: int, seconds: float, generator: Generator) -> Tensor:
    """An Ornstein-Uhlenbeck process of unit variance and this correlation time, its corners rounded [f]."""
    keep = float(torch.exp(torch.tensor(-1 / (seconds * RATE))))
    lead = int(4 * seconds * RATE)  # what is left of its beginning is forgotten by then
    steps = torch.randn(lead + frames, generator=generator) * (1 - keep * keep) ** 0.5
    values, value, slow = [], 0.0, 0.0
    for step in steps.tolist():
        value = keep * value + step
        slow += 0.22 * (value - slow)
        values.append(slow)
    return torch.tensor(values[lead:])


def _lag(values: Tensor, share: float) -> Tensor:
    held, out = 0.0, []
    for value in values.tolist():
        held += share * (value - held)
        out.append(held)
    return torch.tensor(out)


def _blinks(frames: int, generator: Generator) -> Tensor:
    """Lids over time [f]: a Poisson process with a pause after each blink."""
    closed = torch.zeros(frames + len(BLINK))
    draws = torch.rand(frames, generator=generator)
    # The pause costs some chances: the rate outside of it makes up for them.
    chance = BLINKS_A_SECOND / RATE / (1 - BLINKS_A_SECOND / RATE * BLINK_GAP)
    ready = 0
    for frame in range(frames):
        if frame >= ready and draws[frame] < chance:
            closed[frame : frame + len(BLINK)] = torch.tensor(BLINK)
            ready = frame + BLINK_GAP
    return closed[:frames]


def _blinks_at_pauses(opening: Tensor) -> Tensor:
    """Lids over time [f]: they close where a pause begins."""
    closed = torch.zeros(len(opening) + len(BLINK))
    spoken, ready = False, 0
    for frame, value in enumerate(_lag(opening, 0.35).tolist()):
        spoken = spoken or value > SPOKEN
        if spoken and value < PAUSE:
            spoken = False
            if frame >= ready:
                closed[frame : frame + len(BLINK)] = torch.tensor(BLINK)
                ready = frame + BLINK_GAP
    return closed[: len(opening)]


def _saccades(frames: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Where the eyes look: still for half a second to three, then elsewhere; mostly at the viewer."""
    x, y = torch.zeros(frames), torch.zeros(frames)
    start = 0
    while start < frames:
        hold, away, angle, depth = torch.rand(4, generator=generator).tolist()
        length = 12 + int(60 * hold * hold)
        if away < 0.4:
            x[start : start + length] = 0.5 * (2 * angle - 1)
            y[start : start + length] = 0.35 * (2 * depth - 1)
        start += length
    return x, y


def _asked(directions: tuple[Direction, ...], frames: int) -> dict[str, Tensor]:
    """What the directions ask for, frame by frame, each reached smoothly."""
    names = ("smile", "brow", "brow_inner", "brow_uneven", "lids", "squint", "opening", "yaw")
    if not directions or directions[0].start != 0:
        raise ValueError(f"directions are {directions}: the first must start at frame 0")
    values: dict[str, list[float]] = {name: [] for name in names}
    place, held = 0, _wanted(directions[0])
    for frame in range(frames):
        while place + 1 < len(directions) and directions[place + 1].start <= frame:
            place += 1
        wanted = _wanted(directions[place])
        for name in names:
            held[name] += CHANGE * (wanted[name] - held[name])
            values[name].append(held[name])
    return {name: torch.tensor(numbers) for name, numbers in values.items()}


def _wanted(direction: Direction) -> dict[str, float]:
    asked, share = EXPRESSIONS[direction.expression], direction.strength
    wanted = {
        name: share * getattr(asked, name)
        for name in ("smile", "brow", "brow_inner", "brow_uneven", "squint", "opening")
    }
    wanted["lids"] = 1 + share * (asked.lids - 1)
    wanted["yaw"] = HEAD_POSES[direction.head_pose][1] if direction.head_pose else 0.0
    return wanted
