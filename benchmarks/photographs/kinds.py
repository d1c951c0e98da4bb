"""Portraits of many kinds, none of anybody who may not be shown: a photograph and parts of it, in black and white, with
glasses, painted, drawn, bearded; and a sheet of how each speaks."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from benchmarks.photographs.speaking import film, shown
from models.data.blends.portrait import blend_portraits, chosen
from models.faces.around import cut_out
from models.faces.portrait import PortraitProblem
from models.families.protocol import Hints
from models.families.registry import FAMILIES, load_part
from models.image.masks import Box
from models.speech.spectrum import SAMPLES_A_FRAME
from models.weights.shipped import shipped_weights

ROOT = Path(__file__).resolve().parents[2]
BEARDED = ("0002976", "0008253", "0011011", "0028457", "0035196", "0054310")  # of SFHQ-T2I, FLUX.1 schnell, train split
SECONDS, SHOWN, TILE = 8, 6, 300
FPS = 25

Picture = NDArray[np.uint8]


def kinds(faces: Path) -> Iterator[tuple[str, Picture, Hints]]:
    """Name, portrait, and what a manifest would say of where its face is. `faces`: a folder of portraits to blend."""
    nasa, blend = _read("benchmarks/photograph.png"), _read("examples/photograph.png")
    grey = np.asarray(cv2.cvtColor(cv2.cvtColor(blend, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB), np.uint8)
    yield "NASA, small face", nasa, Hints()
    yield "NASA, large face", np.ascontiguousarray(nasa[20:260, 110:340]), Hints()
    yield "photograph", blend, Hints()
    yield "black and white", grey, Hints()
    yield "glasses", with_glasses(blend), Hints()
    yield "painting", _read("examples/painting.png"), Hints()
    yield "beard", blend_portraits(chosen(faces, list(BEARDED)), 960, "green")[0], Hints()
    yield "drawn", _read("examples/portrait.png"), Hints((143, 142, 225, 243), (221, 319, 70, 13))


def with_glasses(picture: Picture) -> Picture:
    """Round glasses with dark rims, drawn where the eyes are."""
    photo = FAMILIES["photo"]
    given, _ = load_part(photo, "prepare", shipped_weights("photo"), "cpu").conditioning(
        picture, photo.base_sizes[0], Hints()
    )
    x0, y0, x1, _ = given["crop_box"]
    scale = (x1 - x0) / given["portrait"].shape[-1]
    points = given["landmarks"][:, :2] * scale + np.array([x0, y0])
    fine = 4  # drawn larger and made smaller: smooth edges
    mask = Image.new("L", (picture.shape[1] * fine, picture.shape[0] * fine))
    draw = ImageDraw.Draw(mask)
    eyes = [points[[33, 133]].mean(0), points[[263, 362]].mean(0)]
    radius = 0.36 * float(np.linalg.norm(eyes[1] - eyes[0]))
    width = round(0.07 * radius * fine)
    for middle, temple in zip(eyes, (points[127], points[356]), strict=True):
        x, y = middle[0], middle[1] + 0.1 * radius
        box = [(x - radius) * fine, (y - 0.88 * radius) * fine, (x + radius) * fine, (y + 0.88 * radius) * fine]
        draw.ellipse(box, outline=235, width=width)
        side = x + radius * np.sign(temple[0] - x)
        draw.line([side * fine, y * fine, temple[0] * fine, temple[1] * fine], fill=235, width=width)
    inner = [eyes[0] + [radius, 0], eyes[1] - [radius, 0]]
    draw.line([float(value) * fine for point in inner for value in point], fill=235, width=width)
    share = np.asarray(mask.resize(picture.shape[1::-1], Image.Resampling.LANCZOS), np.float32)[..., None] / 255
    return np.asarray(np.clip(picture * (1 - share) + np.array([38, 30, 28]) * share, 0, 255), np.uint8)


def sheet(portraits: Iterator[tuple[str, Picture, Hints]], weights: str, speech: torch.Tensor, target: Path) -> None:
    """A row a portrait: as it is, then those of its frames that differ most from it; refused ones say so."""
    rows = []
    for name, picture, hints in portraits:
        rows.append(_row(name, picture, hints, weights, speech[: SECONDS * FPS * SAMPLES_A_FRAME]))
    target.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(rows)).save(target)


def _row(name: str, picture: Picture, hints: Hints, weights: str, speech: torch.Tensor) -> Picture:
    photo = FAMILIES["photo"]
    try:
        given, _ = load_part(photo, "prepare", weights, "cpu").conditioning(picture, photo.base_sizes[0], hints)
        planes, _ = film(picture, speech, weights, min(1024, *picture.shape[:2]), hints=hints)
        frames = [shown(one) for one in planes]
    except PortraitProblem as error:
        return _labelled(np.zeros((TILE, TILE * (SHOWN + 1), 3), np.uint8), f"{name}: refused, {error}")
    scale = min(frames[0].shape[:2]) / min(picture.shape[:2])
    face = Box(*(float(edge) for edge in given["crop_box"]))
    square = Box(*(edge * scale for edge in face))
    changes = [float(np.abs(frame.astype(np.int16) - frames[0]).mean()) for frame in frames]
    some = np.linspace(0, len(frames), SHOWN + 1).astype(int)
    at = [first + int(np.argmax(changes[first:last])) for first, last in pairwise(some)]
    tiles = [_tile(picture, face), *(_tile(frames[place], square) for place in at)]
    return _labelled(np.concatenate(tiles, 1), name)


def _tile(picture: Picture, square: Box) -> Picture:
    return np.asarray(cv2.resize(cut_out(picture, square), (TILE, TILE), interpolation=cv2.INTER_AREA), np.uint8)


def _labelled(row: Picture, text: str) -> Picture:
    image = Image.fromarray(row)
    draw = ImageDraw.Draw(image)
    draw.rectangle([0, 0, 8 + 6.5 * len(text), 16], fill="black")
    draw.text((4, 3), text, fill="white")
    return np.asarray(image)


def _read(name: str) -> Picture:
    return np.asarray(Image.open(ROOT / name).convert("RGB"))
