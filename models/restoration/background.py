"""The x2 enlarger: RRDBNet (ESRGAN), whole images or tiles, and repeated passes to any size.

Tensor names are those of the published `RealESRGAN_x2plus.pth`. Shapes: n images,
h x w pixels, values 0..1.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from models.families.upscale_config import EnlargerConfig
from models.image.resample import resize_lanczos
from models.image.wider import widened

RESIDUAL_SCALE = 0.2  # of every residual in the published network
SLOPE = 0.2  # of every leaky ReLU
STRIPE = 64  # rows, before the last doubling, that the widest maps are computed for at once: they stay in the cache
NARROW = 16  # a convolution to fewer channels than this leaves most of a processor's vector unit idle

# For the first and second pixel of a pair: on which of the three original pixels its three taps (inner) fall.
PAIRS = (((1, 0, 0), (0, 1, 1), (0, 0, 0)), ((0, 0, 0), (1, 1, 0), (0, 0, 1)))


class DenseBlock(nn.Module):
    """Five convolutions, each of which sees everything before it."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, growth, 3, padding=1)
        self.conv2 = nn.Conv2d(width + growth, growth, 3, padding=1)
        self.conv3 = nn.Conv2d(width + 2 * growth, growth, 3, padding=1)
        self.conv4 = nn.Conv2d(width + 3 * growth, growth, 3, padding=1)
        self.conv5 = nn.Conv2d(width + 4 * growth, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        if self.conv1.out_channels < NARROW:
            return torch.add(x, self._by_input(x), alpha=RESIDUAL_SCALE)
        seen = x
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            seen = torch.cat([seen, _leaky(conv(seen))], dim=1)
        return torch.add(x, self.conv5(seen), alpha=RESIDUAL_SCALE)

    def _by_input(self, x: Tensor) -> Tensor:
        """What the last convolution gives, from wider ones: each part is taken to all outputs that it reaches."""
        convs = [self.conv1, self.conv2, self.conv3, self.conv4, self.conv5]
        bias: Tensor | None = torch.cat([conv.bias for conv in convs])  # type: ignore[misc]
        part, seen, pending = x, 0, None
        while True:
            stop = seen + part.shape[1]
            weight = torch.cat([conv.weight[:, seen:stop] for conv in convs])
            reached = F.conv2d(part, weight, bias, padding=1)
            pending = reached if pending is None else pending + reached
            if len(convs) == 1:
                return pending
            part, pending = pending.split([convs[0].out_channels, pending.shape[1] - convs[0].out_channels], dim=1)
            part, seen, bias, convs = F.leaky_relu(part, SLOPE), stop, None, convs[1:]


class ResidualDenseBlocks(nn.Module):
    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.rdb1 = DenseBlock(width, growth)
        self.rdb2 = DenseBlock(width, growth)
        self.rdb3 = DenseBlock(width, growth)

    def forward(self, x: Tensor) -> Tensor:
        return x + RESIDUAL_SCALE * self.rdb3(self.rdb2(self.rdb1(x)))


class Enlarger(nn.Module):
    """[n, 3, h, w] -> [n, 3, 2h, 2w]; h and w even. The work is done at half the input's size."""

    def __init__(self, config: EnlargerConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.conv_first = nn.Conv2d(12, width, 3, padding=1)
        self.body = nn.Sequential(*(ResidualDenseBlocks(width, config.growth) for _ in range(config.blocks)))
        self.conv_body = nn.Conv2d(width, width, 3, padding=1)
        self.conv_up1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv_up2 = nn.Conv2d(width, width, 3, padding=1)
        self.conv_hr = nn.Conv2d(width, width, 3, padding=1)
        self.conv_last = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        x = F.pixel_unshuffle(image.to(self.conv_first.weight.dtype), 2)
        x = self.conv_first(x)
        x = x + self.conv_body(self.body(x))
        x = _leaky(_double_and_convolve(self.conv_up1, x))
        rows = x.shape[-2]
        out = x.new_empty(len(x), 3, 2 * rows, 2 * x.shape[-1])
        for top in range(0, rows, STRIPE):
            bottom = min(top + STRIPE, rows)
            above, below = max(top - 2, 0), min(bottom + 2, rows)  # what the last three convolutions see beyond it
            part = _leaky(_double_and_convolve(self.conv_up2, x[..., above:below, :]))
            part = self.conv_last(_leaky(self.conv_hr(part)))
            out[..., 2 * top : 2 * bottom, :] = part[..., 2 * (top - above) : 2 * (bottom - above), :]
        return widened(out, image.dtype)


def _leaky(fresh: Tensor) -> Tensor:
    """In place: a convolution's result that nobody else reads."""
    return F.leaky_relu(fresh, SLOPE, inplace=True)


def _double_and_convolve(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """The 3 x 3 convolution of x enlarged twice by repetition, without making that image.

    An output pixel sees 2 x 2 pixels of x, which of them depends on whether it is the first or second of its pair;
    the weights that fall on the same pixel add up. [n, c, h, w] -> [n, d, 2h, 2w]
    """
    where = _pairs(conv.weight.dtype, x.device)
    weight = torch.einsum("dcyx,pay,qbx->pqdcab", conv.weight, where, where).flatten(0, 2)
    assert conv.bias is not None
    weight = weight.contiguous(memory_format=torch.channels_last)
    four = F.conv2d(x, weight, conv.bias.repeat(4), padding=1)
    return rearrange(four, "n (p q d) h w -> n (h p) (w q) d", p=2, q=2).movedim(-1, 1)


@lru_cache(maxsize=8)
def _pairs(kind: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        return torch.tensor(PAIRS, dtype=kind, device=device)


def double(net: nn.Module, image: Tensor, tile: int = 0, pad: int = 40) -> Tensor:
    """[n, 3, h, w] -> [n, 3, 2h, 2w], not clamped. `tile` 0: the whole image in one call.

    A tile of `tile` x `tile` pixels is computed with `pad` pixels of its neighbours around it, which
    are thrown away after. Odd sizes are mirrored to even ones first, as published.
    """
    height, width = image.shape[-2:]
    image = F.pad(image, (0, width % 2, 0, height % 2), mode="reflect")
    if not tile or max(height, width) <= tile:
        return net(image)[..., : 2 * height, : 2 * width]
    full_height, full_width = image.shape[-2:]
    out = image.new_empty(*image.shape[:-2], 2 * full_height, 2 * full_width)
    for top in range(0, full_height, tile):
        for left in range(0, full_width, tile):
            bottom, right = min(top + tile, full_height), min(left + tile, full_width)
            y, x = max(top - pad, 0), max(left - pad, 0)
            enlarged = net(image[..., y : min(bottom + pad, full_height), x : min(right + pad, full_width)])
            out[..., 2 * top : 2 * bottom, 2 * left : 2 * right] = enlarged[
                ..., 2 * (top - y) : 2 * (bottom - y), 2 * (left - x) : 2 * (right - x)
            ]
    return out[..., : 2 * height, : 2 * width]


def passes_needed(side: int, target: int) -> int:
    """How many x2 passes bring `side` to `target` or above."""
    passes = 0
    while side << passes < target:
        passes += 1
    return passes


@torch.inference_mode()
def enlarge(
    image: Tensor,
    target: tuple[int, int],
    net: nn.Module | None,
    method: Literal["x2", "lanczos"] = "x2",
    tile: int = 400,
    pad: int = 40,
    passes: int | None = None,
) -> Tensor:
    """[n, 3, h, w] in 0..1 -> [n, 3, *target] in 0..1.

    `x2`: real x2 passes until the image is at least as large as the target, then one resize down to it
    (`passes` sets their number instead; the resize may then go up).
    `lanczos`: interpolation alone.
    """
    height, width = image.shape[-2:]
    if method == "x2":
        if net is None:
            raise ValueError("background x2 needs the x2 network: load its weights, or set background: lanczos")
        if passes is None:
            passes = max(passes_needed(height, target[0]), passes_needed(width, target[1]))
        for _ in range(passes):
            image = double(net, image, tile, pad).clamp(0, 1)
    return resize_lanczos(image, target).clamp(0, 1)
