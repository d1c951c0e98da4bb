"""Pictures to the planes that a video encoder takes: BT.709, limited range, 4:2:0."""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

# ITU-R BT.709-6, item 3.2 (luma coefficients) and 3.3 (colour differences).
KR, KB = 0.2126, 0.0722


def yuv420p(picture: Tensor) -> Tensor:
    """RGB [3, H, W], 0..1, even sides → uint8 [3·H/2, W]: Y, then U and V at half size, one after the other.

    Chroma is the mean of 2x2 pixels, sited in their middle.
    """
    red, green, blue = picture.float()
    luma = KR * red + (1 - KR - KB) * green + KB * blue
    chroma = torch.stack([(blue - luma) / (2 * (1 - KB)), (red - luma) / (2 * (1 - KR))])
    chroma = F.avg_pool2d(chroma[None], 2)[0]
    height, width = luma.shape
    planes = torch.empty(height * 3 // 2, width, dtype=torch.uint8, device=picture.device)
    planes[:height] = (16 + 219 * luma).round_().clamp_(16, 235).to(torch.uint8)
    planes[height:] = (128 + 224 * chroma).round_().clamp_(16, 240).to(torch.uint8).reshape(-1, width)
    return planes


def yuv420p_of_bytes(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGB uint8 [H, W, 3], even sides → as `yuv420p`, but for a step where its rounding differs; on the processor."""
    height, width = picture.shape[:2]
    luma = np.array([KR, 1 - KR - KB, KB]) / 255
    red, blue = ((np.eye(3)[place] / 255 - luma) * 112 / (1 - share) for place, share in ((0, KR), (2, KB)))
    planes = np.empty((height * 3 // 2, width), np.uint8)
    planes[:height] = cv2.transform(picture, np.append(219 * luma, 16.0)[None])
    half = cv2.resize(
        picture.astype(np.float32), (width // 2, height // 2), interpolation=cv2.INTER_AREA
    )  # the mean of 2 x 2 pixels
    colours = cv2.transform(half, np.stack([np.append(blue, 128.0), np.append(red, 128.0)]))
    planes[height:] = np.rint(colours).clip(16, 240).transpose(2, 0, 1).reshape(-1, width)
    return planes
