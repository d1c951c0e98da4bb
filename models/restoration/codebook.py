"""The VQGAN of the restorer: encoder, vector quantiser and generator.

Tensor names are those of the published `net_g.pth` (`encoder.blocks.N`, `quantize.embedding`,
`generator.blocks.N`). Widths come from :class:`CodebookConfig`, so a small network is the same code.

Shapes: n images, c channels, `side` pixels; inside the network an image is `inner = side / unshuffle`
wide and carries `3 * unshuffle**2` channels, and the code grid is `grid` cells wide.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from models.families.upscale_config import CodebookConfig

NORM_EPS = 1e-6  # of every group norm in the published network


class CellNorm(nn.Module):
    """Divides every cell's channels by their root mean square: what it does to a cell does not depend on the others.

    A network of convolutions and these may be trained on crops and run on whole pictures.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        scale = torch.linalg.vector_norm(x, dim=1, keepdim=True, dtype=torch.float32) * x.shape[1] ** -0.5
        return x * (scale + NORM_EPS).reciprocal().to(x.dtype) * self.weight[:, None, None]


def norm(channels: int, groups: int) -> nn.Module:
    """Group norm, or, for 0 groups, each cell's own."""
    return nn.GroupNorm(groups, channels, eps=NORM_EPS) if groups else CellNorm(channels)


class ResBlock(nn.Module):
    """norm, SiLU, conv, twice, around a shortcut that is 1x1 where the width changes."""

    def __init__(self, channels_in: int, channels_out: int, groups: int) -> None:
        super().__init__()
        self.norm1 = norm(channels_in, groups)
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.norm2 = norm(channels_out, groups)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        if channels_in != channels_out:
            self.conv_out = nn.Conv2d(channels_in, channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        return h + (self.conv_out(x) if hasattr(self, "conv_out") else x)


class AttentionBlock(nn.Module):
    """One head of attention over all positions of a feature map."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.norm = norm(channels, groups)
        self.q = nn.Conv2d(channels, channels, 1)
        self.k = nn.Conv2d(channels, channels, 1)
        self.v = nn.Conv2d(channels, channels, 1)
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(x)
        q, k, v = (rearrange(layer(h), "n c h w -> n 1 (h w) c") for layer in (self.q, self.k, self.v))
        h = F.scaled_dot_product_attention(q, k, v)
        return x + self.proj_out(rearrange(h, "n 1 (h w) c -> n c h w", h=x.shape[-2]))


class Downsample(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


def _middle(channels: int, config: CodebookConfig) -> list[nn.Module]:
    """What lies at the grid, between the levels and the codes."""
    attention = [AttentionBlock(channels, config.groups)] if config.middle_attention else []
    return [ResBlock(channels, channels, config.groups), *attention, ResBlock(channels, channels, config.groups)]


class Encoder(nn.Module):
    """Image (or latents) to one feature vector a code position.

    `start` is the level that the input enters at: 0 for pixels; latents of a diffusion model enter at the
    level whose maps are as wide as they are. `taps` names, for each size, the block whose output is the
    last one of that size.
    """

    def __init__(self, config: CodebookConfig, channels_in: int | None = None, start: int = 0) -> None:
        super().__init__()
        groups = config.groups
        channels = config.width
        blocks: list[nn.Module] = [
            nn.Conv2d(channels_in or 3 * config.unshuffle**2, channels, 3, padding=1),
        ]
        self.taps: dict[int, int] = {}
        levels = list(zip(config.sizes, config.multipliers, strict=True))[start:]
        for index, (size, multiplier) in enumerate(levels):
            for _ in range(config.blocks):
                blocks.append(ResBlock(channels, config.width * multiplier, groups))
                channels = config.width * multiplier
                if size in config.attention_at:
                    blocks.append(AttentionBlock(channels, groups))
            self.taps[size] = len(blocks) - 1
            if index < len(levels) - 1:
                blocks.append(Downsample(channels))
        blocks += [
            *_middle(channels, config),
            norm(channels, groups),
            nn.Conv2d(channels, config.code_width, 3, padding=1),
        ]
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor, tap_at: tuple[int, ...] = ()) -> tuple[Tensor, dict[int, Tensor]]:
        """x [n, c, h, w] -> features [n, code_width, grid, grid] and the tapped maps by size."""
        wanted = {self.taps[size]: size for size in tap_at if size in self.taps}
        tapped: dict[int, Tensor] = {}
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in wanted:
                tapped[wanted[index]] = x
        return x, tapped


class Generator(nn.Module):
    """Codebook rows to an image. `fuse_after` names, for each size, the block that fusion follows."""

    def __init__(self, config: CodebookConfig) -> None:
        super().__init__()
        groups = config.groups
        channels = config.width * config.multipliers[-1]
        blocks: list[nn.Module] = [
            nn.Conv2d(config.code_width, channels, 3, padding=1),
            *_middle(channels, config),
        ]
        self.fuse_after: dict[int, int] = {}
        levels = list(zip(config.sizes, config.multipliers, strict=True))[::-1]
        for index, (size, multiplier) in enumerate(levels):
            self.fuse_after[size] = len(blocks)
            for _ in range(config.blocks):
                blocks.append(ResBlock(channels, config.width * multiplier, groups))
                channels = config.width * multiplier
                if size in config.attention_at:
                    blocks.append(AttentionBlock(channels, groups))
            if index < len(levels) - 1:
                blocks.append(Upsample(channels))
        blocks += [
            norm(channels, groups),
            nn.Conv2d(channels, 3 * config.unshuffle**2, 3, padding=1),
        ]
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> Tensor:
        """Rows [n, code_width, grid, grid] -> folded image [n, 3 * unshuffle**2, inner, inner]."""
        for block in self.blocks:
            x = block(x)
        return x


class Quantised(NamedTuple):
    rows: Tensor  # [n, code_width, grid, grid], gradients pass straight through to the input
    codes: Tensor  # [n, grid * grid] int64
    loss: Tensor  # codebook loss + beta * commitment loss (VQ-VAE, equation 3)


class VectorQuantiser(nn.Module):
    """A table of code vectors; the nearest one stands in for each feature."""

    def __init__(self, codes: int, code_width: int, beta: float = 0.25) -> None:
        super().__init__()
        self.embedding = nn.Embedding(codes, code_width)
        nn.init.uniform_(self.embedding.weight, -1.0 / codes, 1.0 / codes)
        self.beta = beta

    def rows(self, codes: Tensor, grid: int) -> Tensor:
        """Codes [n, grid * grid] -> vectors [n, code_width, grid, grid]."""
        return rearrange(self.embedding(codes), "n (h w) c -> n c h w", h=grid)

    def nearest(self, features: Tensor) -> Tensor:
        """Features [n, code_width, h, w] -> the nearest rows' numbers [n, h * w]."""
        points = rearrange(features, "n c h w -> (n h w) c")
        table = self.embedding.weight
        distance = points.square().sum(1, keepdim=True) + table.square().sum(1) - 2 * points @ table.T
        return rearrange(distance.argmin(1), "(n p) -> n p", n=features.shape[0])

    def forward(self, features: Tensor) -> Quantised:
        codes = self.nearest(features)
        rows = self.rows(codes, features.shape[-2])
        loss = F.mse_loss(rows, features.detach()) + self.beta * F.mse_loss(features, rows.detach())
        return Quantised(features + (rows - features).detach(), codes, loss)


class CodebookAutoencoder(nn.Module):
    """Encoder, quantiser and generator: what is trained first, on sharp images, before the restorer."""

    def __init__(self, config: CodebookConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.quantize = VectorQuantiser(config.codes, config.code_width)
        self.generator = Generator(config)

    def encode(self, images: Tensor) -> Tensor:
        """Images [n, 3, side, side] in [-1, 1] -> features [n, code_width, grid, grid]."""
        return self.encoder(F.pixel_unshuffle(images, self.config.unshuffle))[0]

    def decode(self, rows: Tensor) -> Tensor:
        """Rows [n, code_width, grid, grid] -> images [n, 3, side, side]."""
        return F.pixel_shuffle(self.generator(rows), self.config.unshuffle)

    def forward(self, images: Tensor) -> tuple[Tensor, Quantised]:
        quantised = self.quantize(self.encode(images))
        return self.decode(quantised.rows), quantised
