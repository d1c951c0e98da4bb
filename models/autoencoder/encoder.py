"""The encoder of `models.autoencoder.vae` alone, for families that look at a portrait's latents and decode none.

The same layers in the same order as diffusers' AutoencoderKL (a test compares bits), without its import, which takes
twice as long as torch's own: a worker of family `photo` has its first frame done sooner by that.

Shapes: n frames, H W pixels, c latent channels, h w latent sides.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.autoencoder.cosines import Cosines
from models.families.config import VaeConfig

EPSILON = 1e-6  # of group norms


class ResidualBlock(nn.Module):
    def __init__(self, given: int, width: int, groups: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, given, EPSILON)
        self.conv1 = nn.Conv2d(given, width, 3, padding=1)
        self.norm2 = nn.GroupNorm(groups, width, EPSILON)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(given, width, 1) if given != width else None

    def forward(self, x: Tensor) -> Tensor:
        inner = self.conv1(F.silu(self.norm1(x)))
        inner = self.conv2(F.silu(self.norm2(inner)))
        return (x if self.conv_shortcut is None else self.conv_shortcut(x)) + inner


class HalfSize(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Blocks(nn.Module):
    """Residual blocks, and behind them half the size where there is another level."""

    def __init__(self, given: int, width: int, layers: int, groups: int, *, halves: bool) -> None:
        super().__init__()
        widths = [given, *[width] * (layers - 1)]
        self.resnets = nn.ModuleList(ResidualBlock(one, width, groups) for one in widths)
        if halves:
            self.downsamplers = nn.ModuleList([HalfSize(width)])

    def forward(self, x: Tensor) -> Tensor:
        for block in (*self.resnets, *getattr(self, "downsamplers", ())):
            x = block(x)
        return x


class Levels(nn.Module):
    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        widths = config.channels
        self.conv_in = nn.Conv2d(3 * config.unshuffle**2, widths[0], 3, padding=1)
        self.down_blocks = nn.ModuleList(
            Blocks(given, width, config.layers, config.groups, halves=level < len(widths) - 1)
            for level, (given, width) in enumerate(zip((widths[0], *widths), widths, strict=False))
        )
        self.mid_block = Blocks(widths[-1], widths[-1], 2, config.groups, halves=False)
        self.conv_norm_out = nn.GroupNorm(config.groups, widths[-1], EPSILON)
        self.conv_out = nn.Conv2d(widths[-1], 2 * config.latent_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for level in self.down_blocks:
            x = level(x)
        return self.conv_out(F.silu(self.conv_norm_out(self.mid_block(x))))


class LatentEncoder(nn.Module):
    """Pixels to latents. Its tensors are the encoder's part of an autoencoder's file, under the same names."""

    def __init__(self, config: VaeConfig) -> None:
        if config.middle_attention:
            raise ValueError("an encoder by itself has no attention: set middle_attention to False, or take the whole")
        super().__init__()
        self.config = config
        self.encoder = Levels(config)
        self.quant_conv = nn.Conv2d(2 * config.latent_channels, 2 * config.latent_channels, 1)
        self.cosines = Cosines(config.latent_channels, config.factor // config.shrink) if config.cosines else None

    def encode(self, pixels: Tensor) -> Tensor:
        """`pixels` [n 3 H W] in -1 … 1 -> the scaled mean of their latents [n c h w]."""
        shrunk = pixels if self.config.shrink == 1 else F.avg_pool2d(pixels, self.config.shrink)
        folded = F.pixel_unshuffle(shrunk, self.config.unshuffle).to(self.quant_conv.weight.dtype)
        mean, _ = torch.chunk(self.quant_conv(self.encoder(folded)), 2, dim=1)
        latents = mean.float() * self.config.scale
        return latents if self.cosines is None else latents + self.cosines.split(shrunk)
