"""The small restorer's way around its codebook: pixels averaged over the window where frames agree, then corrected.

A codebook of a few hundred rows cannot hold what a picture shows in detail; the frames themselves do, under noise and
flicker that change from frame to frame. Every cell of a few pixels looks at the same cell of all frames of the window
and takes their mean, weighted by how alike they are in learned features: still parts are averaged over the whole
window, moving parts keep to themselves. How alike is alike enough follows the window's own noise, as in non-local
means (Buades et al., 2005): a head that turns by a fraction of a pixel a frame differs no more from frame to frame than
a still one under noise, and where there is none it would be held still and then let go. A few convolutions then
correct the mean, given the frame itself and what the codebook drew.

Shapes: b windows, f frames, H x W pixels, h x w cells, s = 3 * cell**2 numbers of a cell's pixels, k keys.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from models.families.upscale_config import SkipConfig

STEEPNESS = 4  # a small codebook's picture is so coarse that a third of it would blur the rest: 0.7 leaves 1 %
FIRST_SHARPNESS = 0.0  # natural logarithm of the factor on squared distances of keys, before training
STILL = 0.2  # share of a window's cells that are taken to stand still: the steps between their frames are its noise
QUIET = 1e-4  # squared distance of keys that is nothing in any window


class TemporalSkip(nn.Module):
    def __init__(self, config: SkipConfig) -> None:
        super().__init__()
        self.config = config
        folded, width = 3 * config.fold**2, config.width
        self.key = nn.Conv2d(3 * config.cell**2, config.keys, 3, padding=1)
        self.sharpness = nn.Parameter(torch.tensor(FIRST_SHARPNESS))
        self.gather = nn.Conv2d(3 * folded, width, 1)
        self.hidden = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(config.layers))
        self.correction = nn.Conv2d(width, folded, 3, padding=1)
        assert self.correction.bias is not None
        nn.init.zeros_(self.correction.weight)  # untrained, the mean passes as it is
        nn.init.zeros_(self.correction.bias)

    def align(self, window: Tensor) -> Tensor:
        """Frames [b, f, 3, H, W] -> the same, each cell averaged over the window."""
        b, side = window.shape[0], self.config.cell
        height = window.shape[-2] // side
        # Once in the order that cells are read in: as channels last for the convolution, as rows for the products.
        cells = rearrange(window, "b f c (h p) (w q) -> b f h w (c p q)", p=side, q=side).contiguous()
        keys = rearrange(self.key(cells.flatten(0, 1).movedim(-1, 1)), "(b f) k h w -> (b h w) f k", b=b)
        keys = keys.float()
        sharpness = self.sharpness.float().exp() / (noise(keys, b) + QUIET).repeat_interleave(len(keys) // b)
        # Minus the squared distance; what all terms of a row share falls out of its softmax.
        alike = 2 * keys @ keys.transpose(1, 2) - keys.square().sum(-1)[:, None, :]
        shares = (alike * sharpness[:, None, None]).softmax(-1).to(cells.dtype)
        mean = shares @ rearrange(cells, "b f h w s -> (b h w) f s")
        return rearrange(mean, "(b h w) f (c p q) -> b f c (h p) (w q)", b=b, h=height, p=side, q=side)

    def finish(self, own: Tensor, aligned: Tensor, drawn: Tensor, fidelity: float) -> Tensor:
        """Frames [n, 3, H, W], what `align` made of them, and what codes gave -> restored frames, alike."""
        fold = self.config.fold
        own, aligned, drawn = (F.pixel_unshuffle(x, fold) for x in (own, aligned, drawn))
        share = 1 - (1 - fidelity) ** STEEPNESS
        x = self.gather(torch.cat([own * share, aligned * share, drawn], dim=1))
        for layer in self.hidden:
            x = x + layer(F.relu(x))
        return F.pixel_shuffle(drawn.lerp(aligned, share) + self.correction(F.relu(x)), fold)


def noise(keys: Tensor, windows: int) -> Tensor:
    """Keys [(b h w), f, k] -> squared distance between neighbouring frames of cells that stand still [b]."""
    if keys.shape[1] == 1:
        return keys.new_zeros(windows)
    steps = keys.diff(dim=1).square().sum(-1).unflatten(0, (windows, -1)).flatten(1)
    return steps.kthvalue(max(1, round(STILL * steps.shape[1])), dim=1).values
