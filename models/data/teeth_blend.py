"""`python -m models.data.teeth_blend FACES --name 0049 --name …`: rows of teeth that are blends of several people's.

Rows are shifted and stretched until their gaps lie upon each other, their lower edges brought to the mean edge, and
averaged with other weights for each blend. No blend is made of fewer than six people.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click
import cv2
import numpy as np
from numpy.typing import NDArray

from models.data.portraits import read_portraits
from models.puppet.teeth import HEIGHT, SHIPPED, WIDTH, Teeth, teeth_of, write_teeth

LEAST = 6
SHIFTS, SCALES = np.arange(-12, 12.5, 0.5), np.arange(0.8, 1.26, 0.02)
LIT = 0.85  # of the brightness of the middle that a row's lateral teeth are brought up to


@click.command()
@click.argument("faces", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--name", "names", multiple=True, required=True, help="A portrait that shows its teeth; at least six.")
@click.option("--blends", default=4)
@click.option("--to", "target", type=click.Path(dir_okay=False, path_type=Path), default=SHIPPED)
def main(faces: Path, names: tuple[str, ...], blends: int, target: Path) -> None:
    """Blend the teeth of the named portraits in FACES."""
    portraits = {one.name: one for one in read_portraits(faces)}
    unknown = [name for name in names if name not in portraits]
    if unknown:
        raise click.UsageError(f"--name {', '.join(unknown)}: {faces} has no such portrait of the generator")
    rows = {name: teeth_of(portraits[name].picture(), portraits[name].landmarks) for name in names}
    hidden = [name for name, row in rows.items() if row is None]
    if hidden:
        raise click.UsageError(f"--name {', '.join(hidden)}: too little of the teeth is seen")
    found = blended([row for row in rows.values() if row is not None], blends, np.random.default_rng(0))
    write_teeth(found, target)
    click.echo(f"{len(found)} blends of {len(names)} people: {target}")


def blended(rows: list[Teeth], number: int, dice: np.random.Generator) -> list[Teeth]:
    """`number` blends, each of all rows with weights of its own, none of them more than a third."""
    if len(rows) < LEAST:
        raise ValueError(f"{len(rows)} rows of teeth: a blend is of at least {LEAST}, so that it shows nobody's")
    placed = aligned(rows)
    found = []
    for _ in range(number):
        weights = np.minimum(dice.dirichlet(np.full(len(rows), 1.2)), 0.3)
        found.append(_mean(placed, weights / weights.sum()))
    return found


def aligned(rows: list[Teeth]) -> list[Teeth]:
    """Rows whose gaps lie upon each other, mirrored rows taken in too."""
    doubled = [*rows, *(Teeth(row.colour[:, ::-1], row.alpha[:, ::-1]) for row in rows)]
    profiles = [_profile(row) for row in doubled]
    place = np.arange(WIDTH)
    template = np.where(np.abs(place - WIDTH / 2 + 0.5) < 1.5, -1.0, 0.1) * (np.abs(place - WIDTH / 2) < 14)
    settings = [(0.0, 1.0)] * len(doubled)
    for _ in range(6):
        settings = [_best(profile, template) for profile in profiles]
        template = np.mean([_moved(profile, *one) for profile, one in zip(profiles, settings, strict=True)], 0)
        template = (template + template[::-1]) / 2
    moved = [
        Teeth(_stretched(row.colour, *one), _stretched(row.alpha, *one))
        for row, one in zip(doubled, settings, strict=True)
    ]
    half = len(rows)
    return [_mean([one, other], np.array([0.5, 0.5])) for one, other in zip(moved[:half], moved[half:], strict=True)]


def _profile(row: Teeth) -> NDArray[np.float64]:
    """Light of the columns, gaps below 0 [w]."""
    weight = row.alpha + 1e-6
    light = (row.colour.mean(2) * weight).sum(0) / weight.sum(0)
    fine = light - cv2.GaussianBlur(light[None], (0, 0), 8)[0]
    seen: NDArray[np.float64] = fine * np.clip(row.alpha.sum(0) / 6, 0, 1)
    return seen


def _best(profile: NDArray[np.float64], template: NDArray[np.float64]) -> tuple[float, float]:
    tries = [(float(shift), float(scale)) for shift in SHIFTS for scale in SCALES]
    return max(tries, key=lambda one: _likeness(_moved(profile, *one), template))


def _likeness(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float((one * other).sum() / (np.linalg.norm(one) * np.linalg.norm(other) + 1e-9))


def _sources(shift: float, scale: float) -> NDArray[np.float32]:
    middle = (WIDTH - 1) / 2
    return ((np.arange(WIDTH) - middle) / scale + middle + shift).astype(np.float32)


def _moved(profile: NDArray[np.float64], shift: float, scale: float) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.interp(_sources(shift, scale), np.arange(WIDTH), profile)
    return found


def _stretched(pixels: NDArray[np.float32], shift: float, scale: float) -> NDArray[np.float32]:
    x, y = np.meshgrid(_sources(shift, scale), np.arange(HEIGHT, dtype=np.float32))
    return cv2.remap(pixels, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)


def _mean(rows: list[Teeth], weights: NDArray[np.float64]) -> Teeth:
    """Lower edges at their mean; each row's light made even from side to side before it counts."""
    edges = [np.maximum(cv2.GaussianBlur(row.alpha.sum(0)[None], (0, 0), 3)[0], 1e-3) for row in rows]
    seen = [np.clip(edge / 5, 0, 1) for edge in edges]
    total = sum(weight * one for weight, one in zip(weights, seen, strict=True)) + 1e-6
    edge = sum(weight * one * held for weight, one, held in zip(weights, seen, edges, strict=True)) / total
    colour = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    x, y = np.meshgrid(np.arange(WIDTH, dtype=np.float32), np.arange(HEIGHT, dtype=np.float32))
    for row, weight, one, own in zip(rows, weights, seen, edges, strict=True):
        high = np.clip(own / edge, 0.5, 2.0).astype(np.float32)
        drawn = cv2.remap(row.colour, x, y * high[None], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        light = (drawn.mean(2) * row.alpha).sum(0) / (row.alpha.sum(0) + 1e-3)
        even = LIT / np.maximum(cv2.GaussianBlur(light[None].astype(np.float32), (0, 0), 10)[0], 0.3)
        colour += (
            drawn * np.clip(even, 0.8, 1.3)[None, :, None] * (weight * one / total)[None, :, None].astype(np.float32)
        )
    # A column whose rows rarely reach so far is dark there, not a wall of tooth.
    edge = cv2.GaussianBlur((edge * np.clip(total / 0.35, 0, 1))[None], (0, 0), 2)[0]
    place = np.abs(np.linspace(-1, 1, WIDTH))
    alpha = np.clip(edge[None] - np.arange(HEIGHT)[:, None], 0, 1) * np.clip((0.74 - place) / 0.08, 0, 1)
    soft = cv2.GaussianBlur(alpha.astype(np.float32), (0, 0), 0.6).astype(np.float32)
    return Teeth(np.clip(colour, 0, 1.4).astype(np.float32), soft)


if __name__ == "__main__":
    sys.exit(main())
