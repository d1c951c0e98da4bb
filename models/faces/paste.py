"""Laying a restored face back into its picture, with a soft edge.

The edge is the published one: the square of the crop, eroded and blurred in proportion to its size, and inside of
it, where a parser is given, the parts that belong to the face.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from models.faces.parsenet import FACE_LABELS
from models.image.warp import erode, gaussian_blur, warp

EDGE_SHARE = 20  # the soft edge is this part of the square root of the face's area
PARSED_BORDER = 10  # pixels of the parsed mask that are set to zero along its sides
PARSED_BLUR, PARSED_SIGMA = 101, 11.0


def parsed_mask(labels: Tensor) -> Tensor:
    """Labels [s, s] of an aligned face -> soft mask [s, s] of what is face (not background, neck, cloth, hair)."""
    face = torch.stack([labels == label for label in FACE_LABELS]).any(0).float()
    for _ in range(2):
        face = gaussian_blur(face, PARSED_BLUR, PARSED_SIGMA)
    inner = slice(PARSED_BORDER, -PARSED_BORDER)
    mask = torch.zeros_like(face)
    mask[inner, inner] = face[inner, inner]
    return mask


class Place(NamedTuple):
    """Where a face lies in a picture, and how it fades there: the same for all faces of one size and matrix."""

    rows: slice  # the part of the picture that the face can reach
    columns: slice
    matrix: Tensor  # from the face into that part
    soft: Tensor  # the faded square, as large as that part


def find_place(
    matrix: Tensor,
    side: int,
    size: tuple[int, int],
    scale: float,
    device: torch.device | str = "cpu",
    area: float | None = None,
) -> Place | None:
    """Matrix from a face of `side` pixels to a picture of `size` (h, w) -> its place, None if it lies outside.

    `scale` is how many times the picture was enlarged (the erosion of the square grows with it); `area` is what
    `covered` gave, for whoever asks for many places at once: looking at a number makes an accelerator wait.
    """
    region, local = _reach(matrix, side, size, scale)
    if region is None:
        return None
    rows, columns = region
    square = _square(local, side, region, scale, device)
    area = float(square.sum(dtype=torch.float64)) if area is None else area
    edge = int(math.sqrt(area)) // EDGE_SHARE
    return Place(rows, columns, local, gaussian_blur(erode(square, 2 * edge), 2 * edge + 1))


def covered(matrix: Tensor, side: int, size: tuple[int, int], scale: float, device: torch.device) -> Tensor | None:
    """Pixels of the picture that the face covers, a single number on the device; None if it lies outside."""
    region, local = _reach(matrix, side, size, scale)
    return None if region is None else _square(local, side, region, scale, device).sum(dtype=torch.float64)


def _square(local: Tensor, side: int, region: tuple[slice, slice], scale: float, device: torch.device | str) -> Tensor:
    """Where the face's square lies in a part of the picture, drawn in a little at its border."""
    part = (region[0].stop - region[0].start, region[1].stop - region[1].start)
    return erode(warp(torch.ones(1, side, side, device=device), local, part)[0], int(2 * scale))


def paste(picture: Tensor, face: Tensor, matrix: Tensor, scale: float, parsed: Tensor | None = None) -> Tensor:
    """picture [3, h, w], face [3, s, s], matrix from the face to the picture -> [3, h, w]; the rest as below."""
    size = (picture.shape[-2], picture.shape[-1])
    place = find_place(matrix, face.shape[-1], size, scale, picture.device)
    return paste_at(place, picture.clone(), face, parsed)


def paste_at(place: Place | None, picture: Tensor, face: Tensor, parsed: Tensor | None = None) -> Tensor:
    """picture [3, h, w], face [3, s, s] and its place in that picture -> the same picture, changed.

    `parsed` is the mask of `parsed_mask`, of any size. Only the part that the face can reach is touched.
    """
    if place is None:
        return picture
    side, under = face.shape[-1], picture[:, place.rows, place.columns]
    layers, soft = face, place.soft.to(face)
    if parsed is not None:
        whole = F.interpolate(parsed[None, None], size=(side, side), mode="bilinear")[0]
        layers = torch.cat([face, whole.to(face)])
    # Extended, so that the face does not fade to black at its border; the parsed mask is zero there.
    warped = warp(layers, place.matrix, (under.shape[-2], under.shape[-1]), extended=True)
    if parsed is not None:
        soft = torch.minimum(soft, warped[3])
    under.lerp_(warped[:3], soft)
    return picture


def _reach(matrix: Tensor, side: int, size: tuple[int, int], scale: float) -> tuple[tuple[slice, slice] | None, Tensor]:
    """The part of a picture that the face covers, with room for erosion, and the matrix into that part."""
    corners = torch.tensor([[0, 0, 1], [side, 0, 1], [0, side, 1], [side, side, 1]], dtype=torch.float64)
    points = corners @ matrix.double().T
    extent = float((points.max(0).values - points.min(0).values).max())
    margin = int(2 * extent / EDGE_SHARE + 2 * scale) + 2
    low = [max(0, math.floor(float(v)) - margin) for v in points.min(0).values]
    high = [min(n, math.ceil(float(v)) + margin) for v, n in zip(points.max(0).values, size[::-1], strict=True)]
    if low[0] >= high[0] or low[1] >= high[1]:
        return None, matrix
    local = matrix.double().clone()
    local[:, 2] -= torch.tensor(low, dtype=torch.float64)
    return (slice(low[1], high[1]), slice(low[0], high[0])), local
