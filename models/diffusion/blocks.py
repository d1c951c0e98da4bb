"""The plain parts of the U-Net: timestep embedding, residual block, halving and doubling the resolution.

Shapes: b rows, f frames, c channels, h w latent sides, e timestep embedding. Frames are kept in the batch as (b f).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.kernels.fused import group_norm


def timestep_features(timestep: Tensor, width: int) -> Tensor:
    """Cosines, then sines, of `timestep` [b] at `width` / 2 frequencies falling from 1 towards 1/10000."""
    half = width // 2
    exponent = torch.arange(half, dtype=torch.float32, device=timestep.device) / half
    angles = timestep.float()[:, None] * torch.exp(-math.log(10000) * exponent)
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


class TimestepEmbedding(nn.Module):
    """Timestep features [b c] -> embedding [b e]."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.features = features
        self.linear_1 = nn.Linear(features, width)
        self.linear_2 = nn.Linear(width, width)

    def forward(self, timestep: Tensor) -> Tensor:
        features = timestep_features(timestep, self.features).to(self.linear_1.weight.dtype)
        return self.linear_2(F.silu(self.linear_1(features)))


class ResnetBlock(nn.Module):
    """Two 3x3 convolutions around the timestep embedding, with a residual."""

    def __init__(self, in_channels: int, out_channels: int, time_width: int, groups: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, in_channels, eps=1e-5)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.time_emb_proj = nn.Linear(time_width, out_channels)
        self.norm2 = nn.GroupNorm(groups, out_channels, eps=1e-5)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        if in_channels != out_channels:
            self.conv_shortcut: nn.Module = nn.Conv2d(in_channels, out_channels, 1)
        else:
            self.conv_shortcut = nn.Identity()

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """`x` [(b f) c h w], `time` [b e] -> [(b f) c h w]; a row's frames share its timestep."""
        frames = x.shape[0] // time.shape[0]
        shift = self.time_emb_proj(F.silu(time)).repeat_interleave(frames, dim=0)
        hidden = self.conv1(group_norm(x, self.norm1, silu=True)) + shift[:, :, None, None]
        hidden = self.conv2(group_norm(hidden, self.norm2, silu=True))
        return self.conv_shortcut(x) + hidden


class Downsample(nn.Module):
    """Half the side, by a convolution of stride 2."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class Upsample(nn.Module):
    """Nearest-neighbour enlargement to `size`, then a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        return self.conv(F.interpolate(x, size=size, mode="nearest"))
