"""The x2 enlarger of a small family: Lanczos, and a correction that is computed at half the input's size.

Four pixels at a time are folded into channels, a few convolutions look at them, and the last one gives the sixteen
pixels that they become. Nothing wide ever exists at full size, which is what an enlarger's time goes into.

Shapes: n images, h x w pixels, values 0..1.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.families.upscale_config import EnlargerConfig, FoldedEnlargerConfig
from models.image.resample import resize_lanczos
from models.image.wider import widened
from models.restoration.background import Enlarger

FOLD = 2


class FoldedEnlarger(nn.Module):
    """[n, 3, h, w] -> [n, 3, 2h, 2w]; h and w even."""

    def __init__(self, config: FoldedEnlargerConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.first = nn.Conv2d(3 * FOLD**2, width, 3, padding=1)
        self.hidden = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(config.layers))
        self.last = nn.Conv2d(width, 3 * (2 * FOLD) ** 2, 3, padding=1)
        assert self.last.bias is not None
        nn.init.zeros_(self.last.weight)  # untrained, it is Lanczos
        nn.init.zeros_(self.last.bias)

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        x = self.first(F.pixel_unshuffle(image, FOLD).to(self.first.weight.dtype))
        for layer in self.hidden:
            x = x + layer(F.relu(x))
        with torch.no_grad():
            plain = resize_lanczos(image, (2 * height, 2 * width))
        return plain + widened(F.pixel_shuffle(self.last(F.relu(x)), 2 * FOLD), image.dtype)


def make_enlarger(config: EnlargerConfig | FoldedEnlargerConfig) -> nn.Module:
    return FoldedEnlarger(config) if isinstance(config, FoldedEnlargerConfig) else Enlarger(config)
