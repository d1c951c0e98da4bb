"""Audio module: a frame listens to its audio tokens, separately in the background, the face and the lips.

Shapes: r rows, f frames, l pixels (h·w), c channels of the level, i inner channels, t audio tokens of one frame, k
regions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from models.diffusion.attention import Attention, FeedForward
from models.diffusion.folded_attention import FoldedAttention, fold, side_by_side
from models.diffusion.layers import LayerList
from models.families.config import AudioProjectionConfig, UNetConfig
from models.kernels.fused import add_norm, group_norm

REGIONS = ("full", "face", "lip")
"""The three masks in their published order; "full" is the background, where pose is moved."""


class AudioProjection(nn.Module):
    """Audio features around each frame -> that frame's audio tokens."""

    def __init__(self, config: AudioProjectionConfig, token_width: int) -> None:
        super().__init__()
        self.tokens = config.tokens
        self.proj1 = nn.Linear(config.window * config.layers * config.feature_width, config.hidden_width)
        self.proj2 = nn.Linear(config.hidden_width, config.hidden_width)
        self.proj3 = nn.Linear(config.hidden_width, config.tokens * token_width)
        self.norm = nn.LayerNorm(token_width)

    def forward(self, features: Tensor) -> Tensor:
        """`features` [r f window layers width] -> [r f t c]."""
        hidden = F.relu(self.proj1(rearrange(features, "r f window layer c -> r f (window layer c)")))
        hidden = F.relu(self.proj2(hidden))
        return self.norm(rearrange(self.proj3(hidden), "r f (t c) -> r f t c", t=self.tokens))


@dataclass(frozen=True)
class AudioContext:
    """What an audio block hears, the same at every step of a clip."""

    heard: FoldedAttention
    """Attention to audio tokens and what gates it, of the regions side by side: [(r' f)], for the last r' rows."""
    shares: Tensor
    """The regions' masks [r' 1 l k]."""
    biases: Tensor
    """What the regions move without any sound [r 1 l i]. Rows before the last r' hear zero tokens: this alone."""

    def silent(self, rows: int) -> "AudioContext":
        """Of the first rows, none of which hears audio."""
        return AudioContext(self.heard.first(0), self.shares[:0], self.biases[:rows])

    def last(self, rows: int) -> "AudioContext":
        return AudioContext(self.heard, self.shares, self.biases[-rows:])


class AudioBlock(nn.Module):
    """Self-attention, three masked attentions to audio, feed-forward; each with a residual."""

    def __init__(self, width: int, heads: int, token_width: int, expansion: int = 4) -> None:
        super().__init__()
        self.zero_conv_full = nn.Conv2d(width, width, 1)
        self.zero_conv_face = nn.Conv2d(width, width, 1)
        self.zero_conv_lip = nn.Conv2d(width, width, 1)
        self.attn1 = Attention(width, heads)
        self.norm1 = nn.LayerNorm(width)
        self.attn2_0 = Attention(width, heads, token_width)
        self.attn2_1 = Attention(width, heads, token_width)
        self.attn2_2 = Attention(width, heads, token_width)
        self.norm2 = nn.LayerNorm(width)
        self.ff = FeedForward(width, expansion)
        self.norm3 = nn.LayerNorm(width)

    def regions(self) -> tuple[tuple[Attention, nn.Conv2d], ...]:
        """Attention and gate of each region, in the order of `REGIONS`."""
        return (
            (self.attn2_0, self.zero_conv_full),
            (self.attn2_1, self.zero_conv_face),
            (self.attn2_2, self.zero_conv_lip),
        )

    def context(self, tokens: Tensor, masks: Sequence[Tensor], weights: Sequence[float]) -> AudioContext:
        """`tokens` [r' f t e], `masks` [r l] of the regions; `weights`: how strongly each region is moved."""
        flat, parts, biases = tokens.flatten(0, 1), [], tokens.new_zeros(())
        for (attention, gate), mask, weight in zip(self.regions(), masks, weights, strict=True):
            assert gate.bias is not None
            strength = weight * gate.weight[:, :, 0, 0]
            parts.append(fold(attention, flat, strength))
            # The gate's bias comes after the mask, so it reaches every pixel: as published.
            biases = biases + mask[..., None] * (strength @ attention.to_out[0].bias) + weight * gate.bias
        return AudioContext(
            heard=side_by_side(parts),
            shares=torch.stack([mask[-len(tokens) :] for mask in masks], dim=-1)[:, None],
            biases=biases[:, None],
        )

    def forward(self, x: Tensor, context: AudioContext) -> Tensor:
        """`x` [(r f) l i] -> the same shape."""
        x = x + self.attn1(self.norm1(x))
        rows, frames = len(context.biases), len(x) // len(context.biases)
        silent = (rows - len(context.shares)) * frames
        moved = context.biases.expand(-1, frames, -1, -1).flatten(0, 1)
        if silent < len(x):
            heard = context.heard(self.norm2(x[silent:]), context.shares.expand(-1, frames, -1, -1).flatten(0, 1))
            moved = torch.cat([moved[:silent], moved[silent:] + heard]) if silent else moved + heard
        x, normal = add_norm(x, moved, self.norm3)
        return x + self.ff(normal)


class AudioModule(nn.Module):
    """An audio block between 1x1 convolutions, around which the picture passes unchanged."""

    def __init__(self, config: UNetConfig, width: int, inner: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(config.groups, width, eps=1e-6)
        self.proj_in = nn.Conv2d(width, inner, 1)
        self.transformer_blocks: LayerList[AudioBlock] = LayerList(
            [AudioBlock(inner, config.heads, config.audio_token_width, config.expansion)]
        )
        self.proj_out = nn.Conv2d(inner, width, 1)

    def context(self, tokens: Tensor, masks: tuple[Tensor, ...], weights: tuple[float, ...]) -> AudioContext:
        """Project `tokens` [r' f t c] of the last rows; `masks` are [r l] at this level. Once a clip."""
        return self.transformer_blocks[0].context(tokens, masks, weights)

    def forward(self, x: Tensor, context: AudioContext) -> Tensor:
        """`x` [(r f) c h w] -> the same shape."""
        height, width = x.shape[-2:]
        tokens = rearrange(self.proj_in(group_norm(x, self.norm)), "b c h w -> b (h w) c")
        tokens = self.transformer_blocks[0](tokens, context)
        return x + self.proj_out(rearrange(tokens, "b (h w) c -> b c h w", h=height, w=width))
