"""Keeping a picture's colours: its low frequencies are taken from the picture it was made from."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

CELLS = 16  # a side; what varies more slowly than this comes from the reference


def keep_colour(image: Tensor, reference: Tensor, cells: int = CELLS) -> Tensor:
    """image [n, 3, H, W] with the low frequencies of reference [n, 3, h, w]; both 0..1, and so is the result.

    A shift of colour that is the same everywhere is removed exactly, one that changes over the picture nearly so.
    """
    grid = (min(cells, reference.shape[-2]), min(cells, reference.shape[-1]))
    missing = F.adaptive_avg_pool2d(reference, grid) - F.adaptive_avg_pool2d(image, grid)
    spread = F.interpolate(missing, size=image.shape[-2:], mode="bilinear", align_corners=False)
    return (image + spread).clamp(0, 1)
