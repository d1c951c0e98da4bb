"""`python -m models.data.blends.portrait OUT.png --faces FACES --numbers a,b,c,d,e,f`: a portrait of nobody.

At least six made-up portraits of the training split are brought to the mean of their shapes and colours and blended:
what is coarse is the mean of all, what is fine comes at each place from a few, and never more than half from one.
"""

from __future__ import annotations

from pathlib import Path

import click
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.data.blends.bands import Blend, blended
from models.data.blends.dress import CLOTHS, dressed, head_only
from models.data.blends.painted import painted
from models.data.blends.shapes import Moved, Person, Plane, Points, mean_shape, moved, person_of, smoothed
from models.data.landmark_faces import LEFT_OUT
from models.data.portraits import Portrait, read_left_out, read_portraits
from models.drawn.splits import split_of
from models.puppet.raster import pixels
from models.puppet.topology import BROWS, EYES, OVAL, UPPER_RINGS

FEWEST = 6
WIDE = 0.8  # of the height
FACE, TOP = 0.40, 0.22  # of the height: from forehead to chin, and above the forehead
LIGHT, DIM = 1.12, 0.78  # of the background: behind the head, in the corners
SHARPER = 0.55  # of what is finer than a pixel and a half is added once more
TINTS = {"blue": (1.03, 1.03, 1.05), "wine": (0.60, 0.50, 0.41), "green": (0.95, 0.9, 0.82)}
"""Of the background, beside each cloth."""
GRAIN = 1.1
EARS = 0.25  # of the fine bands, beside the face


def chosen(folder: Path, numbers: list[str]) -> list[Portrait]:
    """Portraits by their numbers in the data set. Raises ValueError for what may not be in a blend."""
    known = {one.number: one for one in read_portraits(folder, left_out=read_left_out(LEFT_OUT))}
    wanted = sorted({number.strip().zfill(7) for number in numbers})
    if len(wanted) < FEWEST:
        raise ValueError(f"{len(wanted)} portraits: expected {FEWEST} different ones or more, so that none shows")
    for number in wanted:
        if number not in known:
            raise ValueError(f"{number}: no portrait of this generator, or left out (portraits_left_out.txt)")
        if split_of(int(number)) != "train":
            raise ValueError(f"{number}: is of the {split_of(int(number))} split; blends are made of train portraits")
    return [known[number] for number in wanted]


def blend_portraits(portraits: list[Portrait], size: int, cloth: str = "blue") -> tuple[NDArray[np.uint8], Blend]:
    """A picture [size, 0.8 size, 3], and how it was blended."""
    cv2.setNumThreads(1)
    people: list[Person] = [person_of(one) for one in portraits]
    height, width = size, round(size * WIDE / 2) * 2
    shape = mean_shape(people, width, height, FACE, TOP)
    every = moved(people, shape, width, height)
    skin = _skin(shape, width, height)
    blend = blended(every, skin, _detail(shape, width, height))
    front = _sharper(blend.picture, height)
    ground = _background(every, blend.matte, TINTS[cloth])
    picture = dressed(ground, front, head_only(blend.matte, shape), every, shape, skin, cloth)
    return np.asarray(_grain(picture, blend.matte).round().clip(0, 255), np.uint8), blend


def _skin(shape: Points, width: int, height: int) -> NDArray[np.bool_]:
    """Inside of the face, without eyes and mouth."""
    mask = np.zeros((height, width), np.uint8)
    for value, places in ((1, OVAL), (0, EYES[0].socket + EYES[0].lower), (0, EYES[1].socket + EYES[1].lower),
                          (0, UPPER_RINGS[3] + (17,))):  # fmt: skip
        cv2.fillConvexPoly(mask, cv2.convexHull(shape[list(places)].astype(np.float32)).astype(np.int32), value)
    return mask > 0


def _detail(shape: Points, width: int, height: int) -> Plane:
    """How much of the fine bands is wanted: all in face and hair, little where ears and jaws of several people meet."""
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [np.round(shape[list(OVAL)]).astype(np.int32)], 255)
    face = smoothed(cv2.erode(mask, np.ones((25, 25))) / np.float32(255), 0.008 * height)
    brow = shape[list(BROWS[0] + BROWS[1]), 1].mean()
    above = ((brow + 0.02 * height - pixels(width, height)[..., 1]) / (0.03 * height)).clip(0, 1)
    return np.asarray(EARS + (1 - EARS) * np.maximum(face, above), np.float32)


def _background(people: list[Moved], matte: Plane, tint: tuple[float, ...]) -> Plane:
    """As in a studio: the mean colour behind all, half of it grey, lighter behind the head."""
    height, width = matte.shape
    masks = [((1 - one.matte) ** 2 * one.seen * (1 - matte))[..., None] for one in people]
    total = np.sum([mask.sum() for mask in masks]) + 1e-3
    colour = np.sum([(one.picture * mask).sum((0, 1)) for one, mask in zip(people, masks, strict=True)], 0) / total
    colour = (0.5 * colour + 0.5 * colour.mean()) * np.array(tint)
    at = (pixels(width, height) - [width / 2, 0.42 * height]) / height
    away = np.hypot(at[..., 0], at[..., 1])[..., None]
    return np.asarray(colour * (LIGHT + (DIM - LIGHT) * (1 - np.exp(-((away / 0.5) ** 2)))), np.float32)


def _sharper(picture: Plane, height: int) -> Plane:
    fine = picture - smoothed(picture, 1.5 * height / 960)
    return picture + SHARPER * fine


def _grain(picture: Plane, matte: Plane) -> Plane:
    """As a film has it, the same in all three colours; the background has less."""
    noise = np.random.default_rng(152).normal(size=matte.shape).astype(np.float32)
    noise = smoothed(noise, 0.7) * 2
    return picture + (noise * GRAIN * (0.35 + 0.65 * matte))[..., None]


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--faces", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path), help="Portraits."
)
@click.option("--numbers", required=True, help="At least six of the data set's numbers, with commas between.")
@click.option("--size", type=click.IntRange(min=256), default=1024, show_default=True, help="Pixels of the height.")
@click.option("--cloth", type=click.Choice(sorted(CLOTHS)), default="blue", show_default=True, help="What is worn.")
@click.option("--painting", is_flag=True, help="As if painted in oil.")
def main(file: Path, faces: Path, numbers: str, size: int, cloth: str, painting: bool) -> None:
    """Blend portraits into FILE (PNG), four fifths as wide as high, and print how much of it is whose."""
    if file.suffix.lower() != ".png":
        raise click.UsageError(f"{file}: expected the name of a PNG file")
    try:
        portraits = chosen(faces, numbers.split(","))
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    picture, blend = blend_portraits(portraits, size, cloth)
    if painting:
        picture = painted(picture)
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(file, optimize=True)
    for portrait, share in zip(portraits, blend.shares, strict=True):
        click.echo(f"{portrait.number}: {share:.1%}")
    click.echo(f"largest share at one place, fine bands: {blend.largest:.0%}")


if __name__ == "__main__":
    main()
