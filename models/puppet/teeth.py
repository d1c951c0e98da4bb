"""Somebody's teeth: cut out of a portrait that shows them, straightened along the upper lip, freed of its light.

A row of teeth is measured in widths of the face, so it keeps its size while the mouth around it widens and rounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from models.puppet.head import Points
from models.puppet.topology import CORNERS, EAR_LEFT, EAR_RIGHT, INNER_LOWER, INNER_UPPER, canonical

WIDTH, HEIGHT = 160, 40  # pixels of a row
SPAN, DEPTH = 0.44, 0.11  # what they cover, in widths of the face
ENOUGH = 0.30  # of the inner mouth's middle that must be teeth
DEEP = 0.30  # of a row's height that teeth must reach down, so that there is more than an edge of them
PALER, LIGHTER = 0.10, 0.75  # than the cheeks, that teeth are: share of red over green, brightness
CHEEKS = (205, 425, 50, 280)
MIDDLE = 0.22  # of a row to each side, that must be seen
SMILING = 1.12  # times the width of a mouth at rest
SHIPPED = Path(__file__).parent / "teeth.safetensors"


@dataclass(frozen=True)
class Teeth:
    """Upper teeth. `colour` [h w 3] is relative to their own white, `alpha` [h w] how much of a tooth a pixel is."""

    colour: NDArray[np.float32]
    alpha: NDArray[np.float32]


def straightened(picture: NDArray[np.uint8], landmarks: Points) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """-> the inside of the mouth below the upper lip [h w 3], and how far above the lower lip it is [h w] in pixels."""
    unit = float(np.linalg.norm(landmarks[EAR_RIGHT, :2] - landmarks[EAR_LEFT, :2]))
    upper, lower = landmarks[list(INNER_UPPER), :2], landmarks[list(INNER_LOWER), :2]
    along = upper[-1] - upper[0]
    long = float(np.linalg.norm(along))
    along = along / long
    down = np.array([-along[1], along[0]])
    middle = (upper[0] + upper[-1]) / 2
    x = np.linspace(-SPAN / 2, SPAN / 2, WIDTH) * unit
    top, bottom = (_line((line - middle) @ along, (line - middle) @ down, x) for line in (upper, lower))
    deep = np.linspace(0, DEPTH, HEIGHT) * unit
    y = top[None] + deep[:, None]
    at = (middle + x[None, :, None] * along + y[..., None] * down).astype(np.float32)
    seen = cv2.remap(picture, at[..., 0], at[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    room = (bottom - top)[None] - deep[:, None]
    room[:, np.abs(x) > long / 2] = -1
    return seen.astype(np.float32), room.astype(np.float32)


def teeth_of(picture: NDArray[np.uint8], landmarks: Points) -> Teeth | None:
    """The upper teeth that a portrait shows; None where it shows too little of them."""
    found = _shown(picture, landmarks)
    if found is None:
        return None
    seen, tooth, white = found
    place = np.abs(np.linspace(-1, 1, WIDTH))[None]
    # Teeth reach from the lip down to the lowest pixel that is one.
    lowest = np.array([np.max(np.nonzero(tooth[:, column] > 0.5)[0], initial=-1) for column in range(WIDTH)])
    lowest = np.convolve(np.pad(lowest.astype(np.float32), 4, mode="edge"), np.ones(9) / 9, "valid")
    alpha = np.clip(lowest[None] - np.arange(HEIGHT)[:, None] + 0.5, 0, 1)
    if np.median(lowest[np.abs(np.linspace(-1, 1, WIDTH)) < 0.3]) < DEEP * HEIGHT:
        return None
    held = np.where((lowest > HEIGHT * 0.12)[None], alpha, 0) * np.clip((0.96 - place) / 0.1, 0, 1)
    soft = cv2.GaussianBlur(held.astype(np.float32), (0, 0), 0.8).astype(np.float32)
    return Teeth(np.clip(seen / white, 0, 1.4).astype(np.float32), soft)


def tooth_share(picture: NDArray[np.uint8], landmarks: Points) -> NDArray[np.float32] | None:
    """How much of a tooth every place below the upper lip is [HEIGHT WIDTH], beyond the lower lip's contour too; None
    where no teeth are shown."""
    found = _shown(picture, landmarks, beyond=True)
    return None if found is None else found[1]


def _shown(
    picture: NDArray[np.uint8], landmarks: Points, *, beyond: bool = False
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]] | None:
    """What is below the upper lip [h w 3], how much of a tooth it is [h w] and the teeth's white [3]."""
    seen, room = straightened(picture, landmarks)
    light = seen.mean(2)
    place = np.abs(np.linspace(-1, 1, WIDTH))[None]
    core = (room > 1) & (place < 0.45)
    if core.sum() < 60:
        return None
    bright = float(np.percentile(light[core], 80))
    white = seen[core & (light >= bright)].mean(0)
    redness = (seen[..., 0] - seen[..., 1]) / np.maximum(seen[..., 0], 1)
    own_red = float((white[0] - white[1]) / max(white[0], 1))
    tooth = np.clip((light / bright - 0.42) / 0.2, 0, 1) * np.clip((own_red + 0.16 - redness) / 0.06, 0, 1)
    if not beyond:
        tooth = tooth * (room > 0.6)
    tooth = cv2.morphologyEx(tooth.astype(np.float32), cv2.MORPH_CLOSE, np.ones((3, 9), np.uint8))
    tooth = cv2.morphologyEx(tooth, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    inside = (room > 0) & (place < 0.3)
    if bright < 60 or ((tooth > 0.5) & inside).sum() < ENOUGH * max(1, inside.sum()):
        return None
    skin = _cheeks(picture, landmarks)
    if own_red > float((skin[0] - skin[1]) / max(skin[0], 1)) - PALER or bright < LIGHTER * float(skin.mean()):
        return None  # a lip or a tongue
    return seen, np.asarray(tooth, np.float32), white


def _cheeks(picture: NDArray[np.uint8], landmarks: Points) -> NDArray[np.float64]:
    places = [tuple(int(value) for value in landmarks[point, :2]) for point in CHEEKS]
    patches = [picture[max(y - 3, 0) : y + 4, max(x - 3, 0) : x + 4].reshape(-1, 3) for x, y in places]
    found: NDArray[np.float64] = np.median(np.concatenate(patches), axis=0)
    return found


def write_teeth(rows: list[Teeth], path: Path) -> None:
    colour = np.stack([row.colour for row in rows])
    alpha = np.stack([row.alpha for row in rows])
    packed = {"colour": np.round(colour * 180), "alpha": np.round(alpha * 255)}
    save_file({name: np.clip(value, 0, 255).astype(np.uint8) for name, value in packed.items()}, path)


def read_teeth(path: Path = SHIPPED) -> list[Teeth]:
    """Rows of a file; those that ship are blends."""
    packed = load_file(path)
    colour, alpha = packed["colour"].astype(np.float32) / 180, packed["alpha"].astype(np.float32) / 255
    return [Teeth(*pair) for pair in zip(colour, alpha, strict=True)]


def _line(along: Points, down: Points, x: Points) -> Points:
    order = np.argsort(along)
    found: Points = np.interp(x, along[order], down[order])
    return found


def width_of_mouth(landmarks: Points) -> float:
    """Of a mouth's at rest."""
    rest = canonical().points
    unit = float(np.linalg.norm(landmarks[EAR_RIGHT, :2] - landmarks[EAR_LEFT, :2]))
    wide = float(np.linalg.norm(landmarks[CORNERS[1], :2] - landmarks[CORNERS[0], :2])) / unit
    return wide / float(np.linalg.norm(rest[CORNERS[1]] - rest[CORNERS[0]]))


def smiling(landmarks: Points) -> bool:
    """Whether a mouth is wider than one at rest."""
    return width_of_mouth(landmarks) >= SMILING


def own_teeth(picture: NDArray[np.uint8], landmarks: Points, others: Teeth) -> Teeth:
    """The teeth that a smiling portrait shows, else `others`: without a smile a lit lip may look like teeth."""
    if not smiling(landmarks):
        return others
    found = teeth_of(picture, landmarks)
    if found is None:
        return others
    seen = found.alpha.max(0) > 0.5
    middle = slice(int(WIDTH * (0.5 - MIDDLE)), int(WIDTH * (0.5 + MIDDLE)))
    return found if seen[middle].mean() > 0.9 else others  # of a turned head one side alone is seen
