"""How near a picture is to the one it should be, and how steady a clip is. Values 0..1.

Shapes: n pictures, f frames, H x W pixels.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

SMALL = 0.0026  # keeps a comparison of two gradients finite where both are nearly nothing, as in GMSD
HIDDEN = 0.02  # where the true frame, moved, misses the next by more than this, something was uncovered


def psnr(found: Tensor, wanted: Tensor) -> float:
    """Decibels, the mean over pictures [n 3 H W]."""
    error = (found - wanted).square().flatten(1).mean(1).clamp_min(1e-10)
    return float((-10 * error.log10()).mean())


def gradient_similarity(found: Tensor, wanted: Tensor) -> float:
    """1 where the edges of [n 3 H W] are as strong as they should be, everywhere; 0 where there are none or others."""
    a, b = _steepness(found), _steepness(wanted)
    return float(((2 * a * b + SMALL) / (a.square() + b.square() + SMALL)).mean())


def fine_energy(pictures: Tensor) -> float:
    """Mean square of what a blur of two pixels takes away from [n 3 H W]: high frequencies."""
    blurred = F.avg_pool2d(F.pad(pictures, (2, 2, 2, 2), mode="replicate"), 5, stride=1)
    return float((pictures - blurred).square().mean())


def gradient_error(error: Tensor) -> Tensor:
    """Mean difference of neighbouring errors [n 3 H W], at full and at half size."""
    total = torch.zeros_like(error[0, 0, 0, 0])
    for _ in range(2):
        total = total + (error[..., 1:] - error[..., :-1]).abs().mean()
        total = total + (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
        error = F.avg_pool2d(error, 2)
    return total / 2


def flicker(found: Tensor, truth: Tensor) -> float:
    """Mean difference of every frame [f 3 H W] from the one before it, moved as the true clip moves.

    What moves is taken from the true frames by optical flow, and so is what was hidden before and does not count.
    """
    total, seen = 0.0, 0.0
    for number in range(1, len(truth)):
        here, before = truth[number], truth[number - 1]
        flow = optical_flow(here, before)
        shown = ((moved(before, flow) - here).abs().amax(0) < HIDDEN).float()
        total += float(((moved(found[number - 1], flow) - found[number]).abs().mean(0) * shown).sum())
        seen += float(shown.sum())
    return total / max(seen, 1.0)


def optical_flow(here: Tensor, other: Tensor) -> Tensor:
    """[2 H W]: for every pixel of `here` [3 H W], how far across and down in `other` it is found."""
    grey = [np.ascontiguousarray((x.mean(0).clamp(0, 1) * 255).round().byte().cpu().numpy()) for x in (here, other)]
    finder = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow: Any = finder.calc(grey[0], grey[1], None)  # type: ignore[call-overload]
    return torch.from_numpy(flow).movedim(-1, 0).to(here.device)


def moved(picture: Tensor, flow: Tensor) -> Tensor:
    """Picture [3 H W] read at the places that a flow [2 H W] points to."""
    height, width = picture.shape[-2:]
    x = torch.arange(width, device=picture.device) + 0.5 + flow[0]
    y = torch.arange(height, device=picture.device)[:, None] + 0.5 + flow[1]
    places = torch.stack([2 * x / width - 1, 2 * y / height - 1], dim=-1)
    return F.grid_sample(picture[None], places[None], mode="bilinear", padding_mode="border", align_corners=False)[0]


def _steepness(pictures: Tensor) -> Tensor:
    """[n 3 H W] -> [n 1 H-2 W-2], by Prewitt's filters on brightness."""
    grey = pictures.mean(1, keepdim=True)
    across = torch.tensor([[[[1.0, 0, -1]] * 3]], device=pictures.device) / 3
    return (F.conv2d(grey, across).square() + F.conv2d(grey, across.transpose(-1, -2)).square() + 1e-12).sqrt()
