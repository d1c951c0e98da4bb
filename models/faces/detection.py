"""From the face detector's numbers to faces: anchors, decoding, overlap suppression, choice of one face.

Anchors, variances and thresholds are the published RetinaFace ones. Coordinates are pixels, x before y.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import ceil
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

STRIDES = (8, 16, 32)
ANCHOR_SIDES = ((16, 32), (64, 128), (256, 512))
CENTRE_VARIANCE, SIZE_VARIANCE = 0.1, 0.2
MEANS_BGR = (104.0, 117.0, 123.0)
SCORE, OVERLAP = 0.8, 0.4
SMALLEST_SIDE = 640  # smaller images are enlarged to this before detection
LEAST_EYE_DISTANCE = 5.0  # pixels; faces below are ignored


class Faces(NamedTuple):
    """k faces, best score first."""

    boxes: Tensor  # [k, 4] x0 y0 x1 y1
    scores: Tensor  # [k]
    landmarks: Tensor  # [k, 5, 2] eyes, nose, corners of the mouth


def anchors(height: int, width: int) -> Tensor:
    """[a, 4] centre x, centre y, width, height as fractions of the image."""
    rows = []
    for stride, sides in zip(STRIDES, ANCHOR_SIDES, strict=True):
        down, across = ceil(height / stride), ceil(width / stride)
        y = (torch.arange(down, dtype=torch.float64) + 0.5) * stride / height
        x = (torch.arange(across, dtype=torch.float64) + 0.5) * stride / width
        side = torch.tensor(sides, dtype=torch.float64)
        y, x, side = torch.meshgrid(y, x, side, indexing="ij")
        rows.append(torch.stack([x, y, side / width, side / height], dim=-1).reshape(-1, 4))
    return torch.cat(rows).float()


def decode_boxes(offsets: Tensor, anchor: Tensor) -> Tensor:
    """Offsets [a, 4] -> corners [a, 4] as fractions of the image."""
    centre = anchor[:, :2] + offsets[:, :2] * CENTRE_VARIANCE * anchor[:, 2:]
    size = anchor[:, 2:] * torch.exp(offsets[:, 2:] * SIZE_VARIANCE)
    corner = centre - size / 2
    return torch.cat([corner, corner + size], dim=1)


def decode_landmarks(offsets: Tensor, anchor: Tensor) -> Tensor:
    """Offsets [a, 10] -> points [a, 5, 2] as fractions of the image."""
    return anchor[:, None, :2] + offsets.unflatten(1, (5, 2)) * CENTRE_VARIANCE * anchor[:, None, 2:]


def suppress(boxes: Tensor, scores: Tensor, overlap: float) -> Tensor:
    """Rows to keep, best first: each kept box removes the later ones that overlap it by more than `overlap`."""
    order = scores.argsort(descending=True, stable=True)
    x0, y0, x1, y1 = boxes[order].cpu().numpy().T
    area = (x1 - x0) * (y1 - y0)
    kept = []
    rest = np.arange(len(area))
    while len(rest):
        row, rest = rest[0], rest[1:]
        kept.append(int(row))
        across = np.minimum(x1[row], x1[rest]) - np.maximum(x0[row], x0[rest])
        down = np.minimum(y1[row], y1[rest]) - np.maximum(y0[row], y0[rest])
        shared = across.clip(min=0) * down.clip(min=0)
        rest = rest[shared / (area[row] + area[rest] - shared) <= overlap]
    return order[kept]


class Seen(NamedTuple):
    """An image that the network has looked at; nobody has read yet what it saw, which makes an accelerator wait."""

    numbers: Tensor  # [a, 4 + 2 + 10] boxes, scores and landmarks of all anchors, on the image's device
    size: tuple[int, int]  # of what the network was given
    scale: float  # by which that had been enlarged


@torch.inference_mode()
def look(net: nn.Module, image: Tensor, scale: float = 1.0) -> Seen:
    """One RGB image [3, h, w] in 0..1 -> what the network says of it."""
    bgr = image.flip(0) * 255 - _means(image.device)
    numbers = torch.cat([part[0].float() for part in net(bgr[None])], dim=1)
    return Seen(numbers, (image.shape[-2], image.shape[-1]), scale)


@lru_cache(maxsize=8)
def _means(device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        return torch.tensor(MEANS_BGR, device=device).view(3, 1, 1)


def landmarks_in(found: Sequence[Seen | Tensor]) -> list[Tensor]:
    """Landmarks [k, 5, 2] of the faces in each image, as `detect_enlarged` has them; what is read already stays.

    Images of one size are read together.
    """
    unread = [one for one in found if isinstance(one, Seen)]
    read = iter(torch.stack([one.numbers for one in unread]).cpu() if unread else ())
    return [wide_enough(one._replace(numbers=next(read))).landmarks if isinstance(one, Seen) else one for one in found]


def detect(net: nn.Module, image: Tensor, score: float = SCORE, overlap: float = OVERLAP) -> Faces:
    """One RGB image [3, h, w] in 0..1 -> the faces in it, at this size, on the CPU."""
    return read(look(net, image), score, overlap)


def read(seen: Seen, score: float = SCORE, overlap: float = OVERLAP) -> Faces:
    """What the network saw -> the faces, in the pixels that it was given, on the CPU."""
    height, width = seen.size
    boxes, scores, points = seen.numbers.cpu().split([4, 2, 10], dim=1)
    anchor = anchors(height, width)
    rows = (scores[:, 1] > score).nonzero()[:, 0]
    size = torch.tensor([width, height])
    boxes = decode_boxes(boxes[rows], anchor[rows]) * size.repeat(2)
    points = decode_landmarks(points[rows], anchor[rows]) * size
    found = scores[rows, 1]
    kept = suppress(boxes, found, overlap)
    return Faces(boxes[kept], found[kept], points[kept])


def detect_enlarged(net: nn.Module, image: Tensor) -> Faces:
    """`detect` on a copy whose smaller side is at least 640; results in the pixels of `image` [3, h, w].

    Faces with less than 5 pixels between the eyes are left out.
    """
    return wide_enough(look_enlarged(net, image))


@torch.inference_mode()
def look_enlarged(net: nn.Module, image: Tensor) -> Seen:
    height, width = image.shape[-2:]
    scale = max(SMALLEST_SIDE / min(height, width), 1.0)
    if scale > 1:
        size = (int(height * scale), int(width * scale))
        image = F.interpolate(image[None], size=size, mode="bilinear", align_corners=False)[0]
    return look(net, image, scale)


def wide_enough(seen: Seen) -> Faces:
    """The faces with 5 pixels between the eyes or more, in the pixels of the image as it was before enlarging."""
    faces = read(seen)
    boxes, points = faces.boxes / seen.scale, faces.landmarks / seen.scale
    wide = (points[:, 0] - points[:, 1]).norm(dim=1) >= LEAST_EYE_DISTANCE
    return Faces(boxes[wide], faces.scores[wide], points[wide])


def choose_faces(found: list[Tensor], rule: str) -> list[Tensor | None]:
    """One face a frame from those found in a window.

    found: landmarks [k, 5, 2] of each frame, best score first. `largest`: the face whose points lie furthest
    apart, none where there is none. `published`: the last face in the list so far, so that a frame without a
    face takes its predecessor's, and of two faces the less certain one is taken.
    """
    if rule == "published":
        chosen: list[Tensor | None] = []
        last = None
        for landmarks in found:
            last = landmarks[-1] if len(landmarks) else last
            chosen.append(last)
        return chosen
    return [landmarks[int(_spread(landmarks).argmax())] if len(landmarks) else None for landmarks in found]


def _spread(landmarks: Tensor) -> Tensor:
    return (landmarks.amax(1) - landmarks.amin(1)).prod(1)


def smooth_landmarks(landmarks: list[Tensor | None], sigma: float) -> list[Tensor | None]:
    """Landmarks of a window's frames, each averaged with its neighbours in the window; gaps stay gaps."""
    present = [i for i, points in enumerate(landmarks) if points is not None]
    if sigma <= 0 or not present:
        return landmarks
    points = torch.stack([p for p in landmarks if p is not None]).double()
    frame = torch.tensor(present, dtype=torch.float64, device=points.device)
    weight = torch.exp(-((frame[:, None] - frame) ** 2) / (2 * sigma**2))
    smooth = torch.einsum("ij,jpc->ipc", weight / weight.sum(1, keepdim=True), points)
    out: list[Tensor | None] = [None] * len(landmarks)
    for i, mean in zip(present, smooth, strict=True):
        out[i] = mean
    return out
