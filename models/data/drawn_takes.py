"""`python -m models.data.drawn_takes FOLDER`: takes of drawn people who say recorded words."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from random import Random

import click
import torch
from torch import Tensor

from models.data import takes
from models.data.speech import Corpus
from models.data.takes import AFTER, BEFORE, Take
from models.drawn import portrait_renderer
from models.drawn.expressions import EXPRESSIONS, HEAD_POSES, prompt
from models.drawn.identity import Identity, identities
from models.drawn.motion import Direction, motion
from models.drawn.mouth import mouth_targets
from models.drawn.portrait_renderer import draw_at, grid, spread
from models.drawn.pose import Pose
from models.drawn.splits import Split, first_seeds
from models.drawn.truth import around, face_box, landmarks, lip_box, to_pixels
from models.families.noise_keys import noise_key
from models.speech.spectrum import SAMPLES_A_FRAME

SETTLED = BEFORE  # frames before a take: by then a face wears the expression that was asked for
QUIET = 25  # frames before somebody who sat for a portrait begins to speak, and half of those until then
GROUP = 6  # pictures drawn at once
APART = 200  # seeds between takes: a split has some among so many
PLAIN = 0.15  # share of the takes without any prompt
TURNED = 0.25  # share of the others whose prompt turns the head
ONLY_TURNED = 0.4  # share of those whose prompt says nothing else


@dataclass(frozen=True)
class Drawing:
    """What the takes of a folder have in common."""

    corpus: Corpus
    split: Split
    size: int = 256
    frames: int = 34
    portraits: int = 2
    composed: bool = False
    """Whether people move with the sound alone (`motion`), the portraits from where the head is in the take."""
    compiled: bool = False
    device: str = "cpu"


@dataclass(frozen=True)
class Sat:
    """Portraits of one person: pictures uint8 [p 3 s s], boxes in pixels [p 4]."""

    portraits: Tensor
    face_boxes: Tensor
    lip_boxes: Tensor


@torch.no_grad()
def draw_take(number: int, drawing: Drawing) -> Take:
    """Take `number` of a split: the same number gives the same take."""
    seed = seed_of(number, drawing)
    dice = Random(noise_key(seed, "take", 0))
    asked = _direction(seed, dice, held_out=drawing.split == "test")
    return _take(seed, drawing, *asked, name=f"{drawing.split}-{seed:08}", sat=_sat(seed, dice, drawing))


@torch.no_grad()
def draw_under_every_prompt(number: int, drawing: Drawing) -> list[Take]:
    """The same moment of one person under every prompt: nothing else differs, so nothing else explains a difference."""
    seed = seed_of(number, drawing)
    sat = _sat(seed, Random(noise_key(seed, "take", 0)), drawing)
    asked = [Direction(0, expression) for expression in EXPRESSIONS]
    asked += [Direction(0, "neutral", 1.0, turn) for turn in HEAD_POSES]
    found = []
    for place, direction in enumerate(asked):
        words = prompt(seed + place, None if direction.head_pose else direction.expression, direction.head_pose)
        name = f"{drawing.split}-{seed:08}-{direction.head_pose or direction.expression}"
        found.append(_take(seed, drawing, direction, words, name=name, sat=sat))
    return found


def seed_of(number: int, drawing: Drawing) -> int:
    """Of the person in take `number`."""
    (seed,) = first_seeds(drawing.split, 1, start=1_000_000 + APART * number)
    return seed


def _take(seed: int, drawing: Drawing, direction: Direction, words: str, *, name: str, sat: Sat) -> Take:
    person = identities([seed])
    speech = drawing.corpus.stretch(seed, SETTLED + drawing.frames + AFTER, held_out=drawing.split != "train")
    held = motion(seed, mouth_targets(speech), (direction,), composed=drawing.composed).rows(
        torch.arange(SETTLED, SETTLED + drawing.frames)
    )
    return Take(
        name=name,
        frames=_drawn(person, held, drawing),
        portraits=sat.portraits,
        speech=speech,
        before=SETTLED,
        face_boxes=sat.face_boxes,
        lip_boxes=sat.lip_boxes,
        fine_boxes=to_pixels(_fine(_rows(person, len(held)), held), drawing.size),
        prompt=words,
        truth=torch.stack([getattr(held, field.name) for field in fields(held)], dim=1),
    )


def _sat(seed: int, dice: Random, drawing: Drawing) -> Sat:
    """A person's portraits: other words, no expression asked for. In the first nothing is said yet, as
    people sit for a portrait; the others are of any moment."""
    words = drawing.corpus.stretch(seed + 1, 200, held_out=drawing.split != "train").clone()
    words[: 2 * QUIET * SAMPLES_A_FRAME] = 0
    held = motion(seed if drawing.composed else seed + 1, mouth_targets(words), composed=drawing.composed)
    moments = [QUIET, *(dice.randrange(3 * QUIET, 200) for _ in range(drawing.portraits - 1))]
    posed, person = held.rows(torch.tensor(moments)), identities([seed])
    people = _rows(person, len(posed))
    return Sat(
        portraits=_drawn(person, posed, drawing),
        face_boxes=to_pixels(face_box(people, posed), drawing.size),
        lip_boxes=to_pixels(lip_box(people, posed), drawing.size),
    )


def _direction(seed: int, dice: Random, *, held_out: bool) -> tuple[Direction, str]:
    """What a prompt asks for, and the prompt; half of the portraits that smile do so without being asked."""
    if dice.random() < PLAIN:
        return Direction(0), ""
    expression = dice.choice(sorted(EXPRESSIONS))
    turn = dice.choice(sorted(HEAD_POSES)) if dice.random() < TURNED else None
    if turn and dice.random() < ONLY_TURNED:
        return Direction(0, "neutral", 1.0, turn), prompt(seed, None, turn, held_out=held_out)
    return Direction(0, expression, 1.0, turn), prompt(seed, expression, turn, held_out=held_out)


def _fine(person: Identity, held: Pose) -> Tensor:
    """Boxes [f 3 4] of lips and both eyes, brows included."""
    points = landmarks(person, held)
    eyes = [around(points[:, list(corners)]) for corners in ((9, 10, 13, 14), (11, 12, 15, 16))]
    return torch.stack([lip_box(person, held), *(_with_brow(eye) for eye in eyes)], dim=1)


def _with_brow(eye: Tensor) -> Tensor:
    width = eye[:, 2] - eye[:, 0]
    return torch.stack([eye[:, 0] - 0.2 * width, eye[:, 1] - 0.7 * width, eye[:, 2] + 0.2 * width, eye[:, 3]], dim=1)


def _rows(person: Identity, number: int) -> Identity:
    return person.rows(torch.zeros(number, dtype=torch.long))


def _drawn(person: Identity, held: Pose, drawing: Drawing) -> Tensor:
    """uint8 [n 3 s s]; groups are always full, so that one compiled kernel draws them all."""
    by = portrait_renderer.compiled if drawing.compiled else portrait_renderer.plain
    draw = partial(draw_at, by=by)
    people = _rows(person, GROUP).to(drawing.device)
    x, y, pixel = grid(drawing.size, GROUP, torch.device(drawing.device))
    pictures = []
    for start in range(0, len(held), GROUP):
        places = torch.arange(start, start + GROUP).clamp_max(len(held) - 1)
        group = draw(x, y, pixel, spread(people), spread(held.rows(places).to(drawing.device)))
        pictures.append(group.picture[: len(held) - start].mul(255).round().byte().cpu())
    return torch.cat(pictures)


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--speech", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--held-out", multiple=True, default=("en_US_f_Allison", "es_MX_f_Allison"), show_default=True)
@click.option("--split", type=click.Choice(["train", "validation", "test"]), default="train")
@click.option("--first", type=int, default=0, help="Number of the first take.")
@click.option("--number", type=int, default=100, help="How many; those that are there already are not drawn again.")
@click.option("--size", type=int, default=256)
@click.option("--frames", type=int, default=34)
@click.option("--composed/--free", default=False, help="Whether people move with the sound alone.")
@click.option("--every-prompt", is_flag=True, help="Every moment once under every prompt: ten takes a number.")
@click.option("--compiled/--plain", default=True)
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu")
def main(folder: Path, speech: Path, held_out: tuple[str, ...], split: Split, first: int, number: int, size: int,
         frames: int, composed: bool, every_prompt: bool, compiled: bool, device: str) -> None:  # fmt: skip
    """Draw takes into FOLDER. Run it again to go on."""
    torch.set_num_threads(1)
    drawing = Drawing(Corpus(speech, held_out), split, size, frames, 2, composed, compiled, device)
    there = {path.stem for path in folder.glob("*.safetensors")}
    for one in range(first, first + number):
        name = f"{split}-{seed_of(one, drawing):08}"
        if every_prompt and f"{name}-{[*HEAD_POSES][-1]}" not in there:
            for take in draw_under_every_prompt(one, drawing):
                takes.write(take, folder)
        elif not every_prompt and name not in there:
            takes.write(draw_take(one, drawing), folder)


if __name__ == "__main__":
    main()
