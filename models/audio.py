"""Audio module: a frame listens to its audio tokens, separately in the background, the face and the lips.

Shapes: r rows, f frames, l pixels (h·w), c channels of the level, i inner channels, t audio tokens of one frame.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from models.attention import Attention, FeedForward, KeyValue
from models.config import AudioProjectionConfig, UNetConfig

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

    tokens: tuple[KeyValue, ...]
    """One for each region: [(r' f) t i], for the last r' rows. Rows before them hear silence (zero tokens)."""
    masks: tuple[Tensor, ...]
    """One for each region: [r 1 l 1]."""
    weights: tuple[float, ...]
    """How strongly each region is moved."""


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

    def forward(self, x: Tensor, context: AudioContext) -> Tensor:
        """`x` [(r f) l i] -> the same shape."""
        x = x + self.attn1(self.norm1(x))
        listening = self.norm2(x)
        heard = torch.zeros_like(x)
        for (attention, gate), tokens, mask, weight in zip(
            self.regions(), context.tokens, context.masks, context.weights, strict=True
        ):
            answer = rearrange(_hear(attention, listening, tokens), "(r f) l i -> r f l i", r=mask.shape[0])
            # The gate's bias comes after the mask, so it reaches every pixel: as published.
            gated = F.linear((answer * mask).view_as(x), gate.weight[:, :, 0, 0], gate.bias)
            heard = heard + weight * gated
        x = x + heard
        return x + self.ff(self.norm3(x))


def _hear(attention: Attention, x: Tensor, tokens: KeyValue) -> Tensor:
    """`x` [(r f) l i] over tokens of its last rows; zero tokens have zero values, so there the bias is the answer."""
    silent = x.shape[0] - tokens.key.shape[0]
    answer = attention(x[silent:], tokens)
    if silent:
        bias = attention.to_out[0].bias
        answer = torch.cat([bias.to(answer.dtype).expand_as(x[:silent]), answer])
    return answer


class AudioModule(nn.Module):
    """An audio block between 1x1 convolutions, around which the picture passes unchanged."""

    def __init__(self, config: UNetConfig, width: int, inner: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(config.groups, width, eps=1e-6)
        self.proj_in = nn.Conv2d(width, inner, 1)
        self.transformer_blocks = nn.ModuleList(
            [AudioBlock(inner, config.heads, config.audio_token_width, config.expansion)]
        )
        self.proj_out = nn.Conv2d(inner, width, 1)

    def context(self, tokens: Tensor, masks: tuple[Tensor, ...], weights: tuple[float, ...]) -> AudioContext:
        """Project `tokens` [r' f t c] of the last rows; `masks` are [r l] at this level. Once a clip."""
        block = self.transformer_blocks[0]
        flat = rearrange(tokens, "r f t c -> (r f) t c")
        return AudioContext(
            tokens=tuple(attention.keys(flat) for attention, _ in block.regions()),  # type: ignore[operator]
            masks=tuple(mask[:, None, :, None] for mask in masks),
            weights=weights,
        )

    def forward(self, x: Tensor, context: AudioContext) -> Tensor:
        """`x` [(r f) c h w] -> the same shape."""
        height, width = x.shape[-2:]
        tokens = rearrange(self.proj_in(self.norm(x)), "b c h w -> b (h w) c")
        tokens = self.transformer_blocks[0](tokens, context)
        return x + self.proj_out(rearrange(tokens, "b (h w) c -> b c h w", h=height, w=width))
