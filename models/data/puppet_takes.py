"""`python -m models.data.puppet_takes FOLDER --faces FACES --speech SPEECH`: takes of photographs that speak.

A square around a portrait's face, moved by a puppet to recorded speech, written as any take; beside its frames the take
holds how every place moved, where the portrait had nothing to show, and the contours of lips and lids.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields, replace
from pathlib import Path
from random import Random

import click
import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.data import takes
from models.data.landmark_faces import portraits_of
from models.data.portraits import Portrait
from models.data.speech import Corpus
from models.data.takes import AFTER, BEFORE, MOVED_SIDE, Movement, Take
from models.drawn.closures import spoken_targets
from models.drawn.expressions import EXPRESSIONS, HEAD_POSES, prompt
from models.drawn.motion import Direction, motion
from models.drawn.splits import Split
from models.families.noise_keys import noise_key
from models.puppet.face_map import CELLS
from models.puppet.puppet import Frame, Puppet, crop_square
from models.puppet.surroundings import fits
from models.puppet.teeth import own_teeth, read_teeth
from models.puppet.topology import LOWER_RINGS, UPPER_RINGS, mirror_map
from models.puppet.track import Track, track_of

FACE = (0.40, 0.54)  # its height in that square, where the portrait is large enough
TURN = 0.35  # radians a head is turned at most, the portrait's own turn counted in


@dataclass(frozen=True)
class Filming:
    corpus: Corpus
    split: Split
    size: int = 512
    """Of the square around a face, in pixels."""
    frames: int = 34
    prompted: float = 0.0
    """Share of takes with a prompt."""


def square_around(one: Portrait, dice: Random, size: int) -> tuple[NDArray[np.uint8], NDArray[np.float64]] | None:
    """A portrait in some framing and light, perhaps mirrored: picture [size size 3] and landmarks.

    None where the face does not lie within one.
    """
    picture, landmarks = one.picture(), one.landmarks
    height, width = picture.shape[:2]
    reach = min(one.face_height / dice.uniform(*FACE), float(min(height, width)))
    middle = landmarks[:, :2].mean(0)
    centre = [
        float(np.clip(middle[axis] + dice.uniform(-0.04, 0.04) * reach, reach / 2, long - reach / 2))
        for axis, long in enumerate((width, height))
    ]
    picture, landmarks = crop_square(picture, landmarks, (centre[0] - 0.5, centre[1] - 0.5), reach, size)
    if dice.random() < 0.5:
        picture = np.ascontiguousarray(picture[:, ::-1])
        landmarks = (landmarks * [-1, 1, 1] + [size - 1, 0, 0])[list(mirror_map())]
    light = (np.arange(256) / 255) ** np.exp(dice.uniform(-0.25, 0.25))
    for channel in range(3):
        table = np.clip(light * 255 * dice.uniform(0.93, 1.07), 0, 255).round().astype(np.uint8)
        picture[..., channel] = cv2.LUT(np.ascontiguousarray(picture[..., channel]), table)
    return (picture, landmarks) if fits(landmarks, size) else None


def film(one: Portrait, number: int, filming: Filming) -> Take | None:
    """Take `number` of a portrait: the same number gives the same take. None where the puppet cannot be made."""
    seed = noise_key(int(one.number), "puppet take", number)
    dice = Random(seed)
    found = square_around(one, dice, filming.size)
    if found is None:
        return None
    picture, landmarks = found
    held_out = filming.split != "train"
    speech = filming.corpus.stretch(seed % 2**31, BEFORE + filming.frames + AFTER, held_out=held_out)
    direction, words = direction_of(
        seed, dice, filming.prompted, may_turn=abs(one.yaw) < 8, held_out=filming.split == "test"
    )
    moving = track_of(motion(seed % 2**31, spoken_targets(speech), (direction,), composed=True))
    moving = as_asked(moving, direction).rows(slice(BEFORE, BEFORE + filming.frames))
    rows = read_teeth()
    teeth = own_teeth(picture, landmarks, rows[seed % len(rows)])
    frames = list(Puppet(picture, landmarks, teeth).frames(moving))
    box = torch.tensor([[*landmarks[:468, :2].min(0), *landmarks[:468, :2].max(0)]])
    outer = landmarks[[*UPPER_RINGS[-1], *LOWER_RINGS[-1]], :2]
    lips = torch.tensor([[*outer.min(0), *outer.max(0)]])
    return Take(
        name=f"{filming.split}-{one.number}-{number:03}",
        frames=_stacked([frame.picture for frame in frames]),
        portraits=_stacked([picture]),
        speech=speech,
        before=BEFORE,
        face_boxes=box,
        lip_boxes=lips,
        fine_boxes=torch.stack([_fine(frame) for frame in frames]),
        prompt=words,
        truth=torch.tensor(np.stack([getattr(moving, field.name) for field in fields(moving)], 1)),
        movement=_movement(frames, landmarks, MOVED_SIDE / filming.size),
    )


def as_asked(moving: Track, direction: Direction) -> Track:
    """Head and eyes against the portrait's own, as it holds them before anything is said; a prompt's turn is added."""
    moved = moving.from_the_portrait()
    if direction.head_pose is not None:
        wanted = HEAD_POSES[direction.head_pose][1] * np.minimum(1, np.arange(len(moved)) / BEFORE)
        moved = replace(moved, yaw=moved.yaw + wanted)
    return moved.limited(TURN, 0.21, 0.14)


def direction_of(seed: int, dice: Random, prompted: float, *, may_turn: bool, held_out: bool) -> tuple[Direction, str]:
    """An expression or a turn for a share of `prompted`, and the prompt for it; in words that training never uses where
    it is `held_out`."""
    if dice.random() >= prompted:
        return Direction(0), ""
    turn = dice.choice(sorted(HEAD_POSES)) if may_turn and dice.random() < 0.25 else None
    expression = "neutral" if turn else dice.choice(sorted(EXPRESSIONS))
    words = prompt(seed, None if turn else expression, turn, held_out=held_out)
    return Direction(0, expression, 1.0, turn), words


def _movement(frames: list[Frame], landmarks: NDArray[np.float64], scale: float) -> Movement:
    flow = [cv2.resize(frame.flow, (CELLS, CELLS), interpolation=cv2.INTER_AREA) for frame in frames]
    hole = [cv2.resize(frame.hole, (CELLS, CELLS), interpolation=cv2.INTER_AREA) for frame in frames]
    return Movement(
        flow=torch.tensor(np.stack(flow)).permute(0, 3, 1, 2) * scale,
        hole=torch.tensor(np.stack(hole)),
        lips=torch.tensor(np.stack([frame.lips for frame in frames])).float() * scale,
        lids=torch.tensor(np.stack([frame.lids for frame in frames])).float() * scale,
        landmarks=torch.tensor(landmarks).float() * scale,
    )


def _fine(frame: Frame) -> Tensor:
    boxes = [frame.lips.reshape(-1, 2), *(lid.reshape(-1, 2) for lid in frame.lids)]
    return torch.tensor(np.array([[*(points.min(0) - 6), *(points.max(0) + 6)] for points in boxes])).float()


def _stacked(pictures: list[NDArray[np.uint8]]) -> Tensor:
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--faces", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--speech", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--held-out", multiple=True, help="Speakers whom training must not hear; all other splits hear them.")
@click.option("--split", type=click.Choice(["train", "validation", "test"]), default="train")
@click.option("--each", default=1, help="Takes of every portrait.")
@click.option("--first", default=0, help="Number of the first: go on from where an earlier run ended.")
@click.option("--frames", default=34)
@click.option("--size", default=512, help="Of the frames, in pixels.")
@click.option("--prompted", default=0.0, help="Share of takes with a prompt.")
def main(
    folder: Path, faces: Path, speech: Path, held_out: tuple[str, ...], split: Split, each: int, first: int,
    frames: int, size: int, prompted: float,
) -> None:  # fmt: skip
    """Write takes of the portraits in FACES into FOLDER; those that are there stay."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    filming = Filming(Corpus(speech, held_out), split, size, frames, prompted)
    made = refused = 0
    for number in range(first, first + each):
        for one in portraits_of(faces, split, movable=True):
            if (folder / f"{split}-{one.number}-{number:03}.safetensors").exists():
                continue
            take = film(one, number, filming)
            if take is None:
                refused += 1
                continue
            takes.write(take, folder)
            made += 1
            if made % 10 == 0:
                click.echo(f"{made} takes")
    click.echo(f"{made} takes written, {refused} portraits whose face does not lie within a square left out")


if __name__ == "__main__":
    sys.exit(main())
