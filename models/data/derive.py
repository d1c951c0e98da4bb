"""`python -m models.data.derive FACES`: the mean face and its triangles, from portraits with landmarks."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from models.data.portraits import Portrait, read_portraits
from models.puppet.delaunay import centres, delaunay, inside
from models.puppet.topology import (
    CHIN,
    EAR_LEFT,
    EAR_RIGHT,
    EYES,
    FACTS,
    FOREHEAD,
    LOWER_RINGS,
    OVAL,
    POINTS,
    SKIN,
    UPPER_RINGS,
    ribbon,
)

STRAIGHT, SHUT = 10.0, 0.04  # degrees of a head, and inner lips over the mouth's width, of those that count


@click.command()
@click.argument("faces", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--to", "target", type=click.Path(dir_okay=False, path_type=Path), default=FACTS)
def main(faces: Path, target: Path) -> None:
    """Derive the mean face of the portraits in FACES."""
    portraits = [one for one in read_portraits(faces) if _at_rest(one)]
    points = mean_face([one.landmarks for one in portraits])
    triangles = triangulated(points)
    save_file({"points": points.astype(np.float32), "triangles": triangles.astype(np.int16)}, target)
    click.echo(f"{len(portraits)} portraits, {len(triangles)} triangles: {target}")


def _at_rest(one: Portrait) -> bool:
    return max(abs(one.yaw), abs(one.pitch), abs(one.roll)) < STRAIGHT and one.mouth_gap < SHUT


def mean_face(faces: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Landmarks [478 3] each -> their mean, upright, symmetric, the ears' distance 1."""
    total = np.zeros((POINTS, 3))
    for face in faces:
        across = face[EAR_RIGHT] - face[EAR_LEFT]
        width = float(np.linalg.norm(across))
        across = across / width
        down = face[CHIN] - face[FOREHEAD]
        down = down - across * (across @ down)
        down /= np.linalg.norm(down)
        axes = np.stack([across, down, np.cross(across, down)], 1)
        total += (face - (face[EAR_LEFT] + face[EAR_RIGHT]) / 2) @ axes / width
    mean = total / len(faces)
    mirrored = mean * [-1, 1, 1]
    twin = np.argmin(np.linalg.norm(mean[:, None] - mirrored[None], axis=2), axis=1)
    return (mean + mirrored[twin]) / 2


def triangulated(points: NDArray[np.float64]) -> NDArray[np.int32]:
    """The mean face [478 3] -> triangles [k 3] of its skin: none across the mouth, the eyes or outside the oval.

    Lips are ribbons between their rings; the rest is a Delaunay triangulation seen from the front.
    """
    flat = points[:SKIN, :2]
    within = {point for rings in (UPPER_RINGS, LOWER_RINGS) for ring in rings[:-1] for point in ring}
    outer = [*UPPER_RINGS[-1], *LOWER_RINGS[-1][-2:0:-1]]
    skin = np.array([point for point in range(SKIN) if point not in within])
    triangles = skin[delaunay(flat[skin])]
    middles = centres(flat, triangles)
    keep = inside(flat[list(OVAL)], middles) > 0
    for hole in (outer, *(list(eye.ring) for eye in EYES)):
        keep &= inside(flat[hole], middles) < 0
    return np.concatenate([triangles[keep], *_ribbons(UPPER_RINGS), *_ribbons(LOWER_RINGS)]).astype(np.int32)


def _ribbons(rings: tuple[tuple[int, ...], ...]) -> list[NDArray[np.int32]]:
    return [ribbon(one, other) for one, other in pairwise(rings)]


if __name__ == "__main__":
    sys.exit(main())
