"""Motion module: every pixel attends to itself over time, from the carried motion frames into the clip.

Motion frames come first in time and are only looked at: they have no output of their own.

Shapes: r rows, m motion frames, f clip frames, l pixels (h·w), c channels.
"""

import math

import torch
from einops import rearrange
from torch import Tensor, nn

from models.diffusion.attention import Attention, FeedForward
from models.diffusion.layers import LayerList
from models.families.config import UNetConfig
from models.kernels.fused import add_norm, group_norm


def position_table(length: int, width: int) -> Tensor:
    """Sines and cosines of positions 0 … length-1, interleaved over channels: [1 length width]."""
    position = torch.arange(length, dtype=torch.float32)[:, None]
    step = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * (-math.log(10000.0) / width))
    table = torch.zeros(1, length, width)
    table[0, :, 0::2] = torch.sin(position * step)
    table[0, :, 1::2] = torch.cos(position * step)[:, : width // 2]
    return table


class PositionEncoder(nn.Module):
    """Holds the position table under its published name."""

    pe: Tensor

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        # Made on the CPU even while modules are laid out without storage: the rule of synthetic weights keeps it.
        with torch.device("cpu"):
            self.register_buffer("pe", position_table(length, width))

    def forward(self, x: Tensor) -> Tensor:
        """`x` [b t c] with positions 0 … t-1 added."""
        return x + self.pe[:, : x.shape[1]]


class TemporalAttention(Attention):
    """Attention along time, positions added before queries, keys and values are projected."""

    def __init__(self, width: int, heads: int, positions: int) -> None:
        super().__init__(width, heads)
        self.pos_encoder = PositionEncoder(positions, width)

    def over_time(self, x: Tensor, skip: int) -> Tensor:
        """`x` [b t c], normalised -> [b t-skip c]: the first `skip` times are seen but not answered."""
        x = self.pos_encoder(x)
        # On an accelerator one product of all rows: of a slice it would be thousands of small ones.
        query = self.to_q(x)[:, skip:] if x.is_cuda else self.to_q(x[:, skip:])
        return self.to_out(self.attend(query, self.keys(x)))


class TemporalBlock(nn.Module):
    """Two attentions along time and a feed-forward, each with a residual."""

    def __init__(self, width: int, heads: int, positions: int, expansion: int = 4) -> None:
        super().__init__()
        self.attention_blocks: LayerList[TemporalAttention] = LayerList(
            [TemporalAttention(width, heads, positions) for _ in range(2)]
        )
        self.norms: LayerList[nn.LayerNorm] = LayerList([nn.LayerNorm(width) for _ in range(2)])
        self.ff = FeedForward(width, expansion)
        self.ff_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, skip: int) -> Tensor:
        """`x` [b t c] -> [b t-skip c]."""
        first, second = self.attention_blocks
        x, seen = add_norm(x, first.over_time(self.norms[0](x), skip=0), self.norms[1])
        # Nothing after the second attention reads the motion frames.
        x, normal = add_norm(x[:, skip:], second.over_time(seen, skip=skip), self.ff_norm)
        return x + self.ff(normal)


class TemporalTransformer(nn.Module):
    """The module's body; a layer of its own because the checkpoint names it."""

    def __init__(self, config: UNetConfig, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(config.groups, width, eps=1e-6)
        self.proj_in = nn.Linear(width, width)
        self.transformer_blocks: LayerList[TemporalBlock] = LayerList(
            [TemporalBlock(width, config.heads, config.positions, config.expansion)]
        )
        self.proj_out = nn.Linear(width, width)

    def enter(self, x: Tensor) -> Tensor:
        """`x` [b c h w], frame by frame -> [b l c]."""
        if self.norm.weight.requires_grad and torch.is_grad_enabled() and not x.requires_grad:
            # PyTorch's group norm on a CPU writes the gradient of an input that lies channels last even where none is
            # asked for, and ends the process by that; where these modules learn alone, their input has none.
            x = x.detach().requires_grad_()
        return self.proj_in(rearrange(group_norm(x, self.norm), "b c h w -> b (h w) c"))


class MotionModule(nn.Module):
    """Temporal attention over motion frames and clip frames."""

    def __init__(self, config: UNetConfig, width: int) -> None:
        super().__init__()
        self.temporal_transformer = TemporalTransformer(config, width)

    def context(self, features: Tensor, size: tuple[int, int]) -> Tensor:
        """Reference features of the motion frames [r m l c] on a grid of `size` -> their side of the attention.

        They do not change from step to step: done once a clip, [r m l c].
        """
        height, width = size
        grid = rearrange(features, "r m (h w) c -> (r m) c h w", h=height, w=width)
        return rearrange(self.temporal_transformer.enter(grid), "(r m) l c -> r m l c", m=features.shape[1])

    def forward(self, x: Tensor, motion: Tensor) -> Tensor:
        """`x` [(r f) c h w], `motion` [r m l c] from `context` -> the shape of `x`."""
        rows, frames = motion.shape[:2]
        body = self.temporal_transformer
        height, width = x.shape[-2:]
        clip = rearrange(body.enter(x), "(r f) l c -> r f l c", r=rows)
        tokens = rearrange(torch.cat([motion, clip], dim=1), "r t l c -> (r l) t c")
        tokens = body.transformer_blocks[0](tokens, frames)
        hidden = body.proj_out(rearrange(tokens, "(r l) f c -> (r f) l c", r=rows))
        return x + rearrange(hidden, "b (h w) c -> b c h w", h=height, w=width)
