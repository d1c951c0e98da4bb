"""Where a face is: five landmarks or a box -> the square crop that the restorer sees.

Matrices are 2x3 float64 tensors on (x, y, 1); they lead from the picture to the crop unless said.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from models.image.warp import invert, warp

TEMPLATE_SIDE = 512
# Eyes, nose, corners of the mouth of an aligned face in a crop of 512 pixels (the FFHQ alignment).
TEMPLATE = (
    (192.98138, 239.94708),
    (318.90277, 240.1936),
    (256.63416, 314.01935),
    (201.26117, 371.41043),
    (313.08905, 371.15118),
)
BORDER_RGB = (132 / 255, 133 / 255, 135 / 255)  # fills a crop that reaches over the picture's edge


def landmark_matrix(landmarks: Tensor, side: int = TEMPLATE_SIDE) -> Tensor:
    """Landmarks [5, 2] -> matrix to the aligned crop: turn, even scale and shift, least median of squares."""
    template = np.array(TEMPLATE)
    found = landmarks.detach().double().cpu().numpy()
    matrix, _ = cv2.estimateAffinePartial2D(found, template, method=cv2.LMEDS)
    if matrix is None:
        raise ValueError(f"landmarks {found.round(1).tolist()} do not span a face: five distinct points expected")
    return rescale(torch.from_numpy(matrix), 1.0, side / TEMPLATE_SIDE)


def box_matrix(box: tuple[float, float, float, float], side: int) -> Tensor:
    """Square box x0, y0, x1, y1 (pixel edges) -> matrix to a crop of `side` pixels."""
    x0, y0, x1, y1 = box
    if x1 <= x0 or abs((x1 - x0) - (y1 - y0)) > 1e-6:
        raise ValueError(f"face box {box} is not square: give x0, y0, x1, y1 with equal sides")
    scale = side / (x1 - x0)
    shift = [(0.5 - low) * scale - 0.5 for low in (x0, y0)]
    return torch.tensor([[scale, 0.0, shift[0]], [0.0, scale, shift[1]]], dtype=torch.float64)


def rescale(matrix: Tensor, picture: float, crop: float) -> Tensor:
    """The same crop when the picture is enlarged `picture` times and the crop `crop` times; pixel centres kept."""
    linear = matrix[:, :2] * (crop / picture)
    # A pixel centre c of the small picture lies at (c + 1/2) * factor - 1/2 in the large one.
    shift = (matrix[:, 2] + 0.5) * crop - 0.5 - (linear * (0.5 * picture - 0.5)).sum(1)
    return torch.cat([linear, shift[:, None]], dim=1)


def crop_face(image: Tensor, matrix: Tensor, side: int) -> Tensor:
    """image [3, h, w] RGB in 0..1 -> [3, side, side]."""
    return warp(image, matrix, (side, side), BORDER_RGB)


def published_inverse(matrix: Tensor, scale: int, face_enlarged: bool) -> Tensor:
    """Matrix from the (perhaps `scale` times enlarged) crop to the enlarged picture, as the published script has it.

    It is half a pixel or more off the exact one, `invert(rescale(...))`.
    """
    inverse = invert(matrix.double()) * scale
    if face_enlarged:
        inverse[:, :2] /= scale
    elif scale > 1:
        inverse[:, 2] += 0.5 * scale
    return inverse
