"""`python -m models.data.drawn_portrait FILE`: the portrait of a drawn person, as a picture to render from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import torch
from PIL import Image

from models.drawn.identity import identities
from models.drawn.motion import motion
from models.drawn.mouth import mouth_targets
from models.drawn.portrait_renderer import draw_at, grid, spread
from models.drawn.splits import Split, first_seeds
from models.drawn.truth import face_box, lip_box, to_pixels
from models.speech.spectrum import SAMPLES_A_FRAME

LOOKED_AT = 100  # frames of a person who is silent, of which the one with the clearest look is drawn


@dataclass(frozen=True)
class Portrait:
    seed: int
    picture: np.ndarray
    """uint8 [s s 3]."""
    face_box: tuple[int, int, int, int]
    """x, y, width, height in pixels, as a manifest has it."""
    lip_box: tuple[int, int, int, int]


@torch.no_grad()
def draw_portrait(split: Split, number: int, size: int) -> Portrait:
    """Person `number` of a split, silent, with open eyes: the same number is the same picture."""
    seed = first_seeds(split, number + 1)[-1]
    person = identities([seed])
    held = motion(seed, mouth_targets(torch.zeros(LOOKED_AT * SAMPLES_A_FRAME)))
    away = held.blink * 10 + held.yaw.abs() * 4 + held.gaze_x.abs() + held.gaze_y.abs()
    pose = held.rows(away.argmin()[None])
    x, y, pixel = grid(size, 1, torch.device("cpu"))
    picture = draw_at(x, y, pixel, spread(person), spread(pose)).picture[0]
    boxes = []
    for find in (face_box, lip_box):
        x0, y0, x1, y1 = to_pixels(find(person, pose), size)[0].round().long().clamp(0, size).tolist()
        boxes.append((x0, y0, x1 - x0, y1 - y0))
    return Portrait(seed, picture.mul(255).round().byte().permute(1, 2, 0).numpy(), *boxes)


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--split", type=click.Choice(["train", "validation", "test"]), default="test", show_default=True)
@click.option("--number", type=click.IntRange(min=0), default=0, show_default=True, help="Which person of the split.")
@click.option("--size", type=click.IntRange(min=64), default=512, show_default=True, help="Pixels of a side.")
def main(file: Path, split: Split, number: int, size: int) -> None:
    """Draw a person into FILE (PNG), and print where face and lips are, as a manifest wants it."""
    if file.suffix.lower() != ".png":
        raise click.UsageError(f"{file}: expected the name of a PNG file")
    torch.set_num_threads(1)
    portrait = draw_portrait(split, number, size)
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(portrait.picture).save(file, optimize=True)
    click.echo(f"face_box: {json.dumps(portrait.face_box)}\nlip_box: {json.dumps(portrait.lip_box)}")


if __name__ == "__main__":
    main()
