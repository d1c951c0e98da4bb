"""Spatial attention: within a frame, over the reference picture, and over the image tokens.

Reference attention puts the keys and values of the reference behind those of the frame itself. Rows that are
generated without conditions (the unconditional half of guidance) see their own frame only; they always lead the
batch, so that every layer can tell them by counting.

Shapes: r rows, f frames, l pixels of a level (h·w), c channels, t tokens, d channels of one head, n heads.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from models.config import UNetConfig


@dataclass(frozen=True)
class KeyValue:
    """What attention looks at, already projected: both [r t c]."""

    key: Tensor
    value: Tensor


class Attention(nn.Module):
    """Multi-head attention with published names; biases only in the output projection."""

    def __init__(self, width: int, heads: int, context_width: int | None = None) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(context_width or width, width, bias=False)
        self.to_v = nn.Linear(context_width or width, width, bias=False)
        self.to_out = nn.Sequential(nn.Linear(width, width))

    def keys(self, context: Tensor) -> KeyValue:
        """Project `context` [r t c]."""
        return KeyValue(self.to_k(context), self.to_v(context))

    def attend(self, query: Tensor, seen: KeyValue) -> Tensor:
        """Projected `query` [r l c] over `seen` [r t c] -> [r l c], before the output projection."""
        q, k, v = (rearrange(x, "r l (n d) -> r n l d", n=self.heads) for x in (query, seen.key, seen.value))
        if q.requires_grad and q.device.type == "cpu":
            # The fused kernel's way back takes most of a training step on a CPU.
            answer = torch.softmax(q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5, dim=-1) @ v
        else:
            answer = F.scaled_dot_product_attention(q, k, v)
        return rearrange(answer, "r n l d -> r l (n d)")

    def forward(self, x: Tensor, seen: KeyValue | None = None) -> Tensor:
        """`x` [r l c] over `seen`, or over itself."""
        return self.to_out(self.attend(self.to_q(x), seen or self.keys(x)))


class GatedLinear(nn.Module):
    """One projection into a value and its GELU gate."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.proj = nn.Linear(width, 2 * inner)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.proj(x).chunk(2, dim=-1)
        return value * F.gelu(gate)


class FeedForward(nn.Module):
    """Gated expansion to a multiple of the width and back."""

    def __init__(self, width: int, expansion: int = 4) -> None:
        super().__init__()
        inner = expansion * width
        # The empty middle keeps the published position, and so the name, of the second projection.
        self.net = nn.Sequential(GatedLinear(width, inner), nn.Identity(), nn.Linear(inner, width))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


@dataclass(frozen=True)
class SpatialContext:
    """What a spatial block sees beside its own frame; the same for all frames of a row and all steps of a clip."""

    image: KeyValue
    """Image tokens, one set a row."""
    reference: KeyValue | None
    """The reference picture [r' k l c], for the last r' rows; None if no row sees it. Frames take the k in turn."""


class TransformerBlock(nn.Module):
    """Self-attention with the reference, cross-attention to image tokens, feed-forward; each with a residual."""

    attn1: Attention
    norm1: nn.LayerNorm
    attn2: Attention
    norm2: nn.LayerNorm
    ff: FeedForward
    norm3: nn.LayerNorm

    def __init__(self, width: int, heads: int, context_width: int, *, norms_first: bool, expansion: int = 4) -> None:
        """`norms_first`: the order in which the checkpoint lists each norm and its layer; nothing else."""
        super().__init__()
        layers = {
            "attn1": Attention(width, heads),
            "attn2": Attention(width, heads, context_width),
            "ff": FeedForward(width, expansion),
        }
        for number, (name, layer) in enumerate(layers.items(), start=1):
            pair = [(name, layer), (f"norm{number}", nn.LayerNorm(width))]
            for part, module in reversed(pair) if norms_first else pair:
                self.add_module(part, module)

    def forward(self, x: Tensor, context: SpatialContext) -> tuple[Tensor, Tensor]:
        """`x` [(r f) l c] -> the result, and what self-attention was given: the block's reference feature."""
        rows = context.image.key.shape[0]
        seen = self.norm1(x)
        x = x + self._self_attention(seen, context.reference, frames=x.shape[0] // rows)
        # A row's frames share its tokens, so they may queue up as one long query.
        query = rearrange(self.norm2(x), "(r f) l c -> r (f l) c", r=rows)
        x = x + self.attn2(query, context.image).view_as(x)
        return x + self.ff(self.norm3(x)), seen

    def _self_attention(self, x: Tensor, reference: KeyValue | None, frames: int) -> Tensor:
        query, own = self.attn1.to_q(x), self.attn1.keys(x)
        if reference is None:
            return self.attn1.to_out(self.attn1.attend(query, own))
        plain = x.shape[0] - reference.key.shape[0] * frames
        # The published order counts the frames of both halves, and a clip's start depends on its length.
        turn = [(frames + frame) % reference.key.shape[1] for frame in range(frames)]
        both = KeyValue(
            torch.cat([own.key[plain:], reference.key[:, turn].flatten(0, 1)], dim=1),
            torch.cat([own.value[plain:], reference.value[:, turn].flatten(0, 1)], dim=1),
        )
        result = self.attn1.attend(query[plain:], both)
        if plain:
            alone = KeyValue(own.key[:plain], own.value[:plain])
            result = torch.cat([self.attn1.attend(query[:plain], alone), result])
        return self.attn1.to_out(result)


class SpatialTransformer(nn.Module):
    """A transformer block between 1x1 convolutions, around which the picture passes unchanged."""

    def __init__(self, config: UNetConfig, width: int, *, norms_first: bool) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(config.groups, width, eps=1e-6)
        self.proj_in = nn.Conv2d(width, width, 1)
        self.transformer_blocks = nn.ModuleList(
            [
                TransformerBlock(
                    width, config.heads, config.image_token_width, norms_first=norms_first, expansion=config.expansion
                )
            ]
        )
        self.proj_out = nn.Conv2d(width, width, 1)

    @property
    def block(self) -> TransformerBlock:
        """The one transformer block (the checkpoint numbers it)."""
        return self.transformer_blocks[0]  # type: ignore[return-value]

    def context(self, image_tokens: Tensor, reference: Tensor | None) -> SpatialContext:
        """Project `image_tokens` [r t c] and, for the last rows, reference features [r' k l c]: once a clip."""
        return SpatialContext(
            image=self.block.attn2.keys(image_tokens),
            reference=None if reference is None else self.block.attn1.keys(reference),
        )

    def forward(self, x: Tensor, context: SpatialContext) -> tuple[Tensor, Tensor]:
        """`x` [(r f) c h w] -> the same shape, and the reference feature [(r f) l c]."""
        height, width = x.shape[-2:]
        tokens = rearrange(self.proj_in(self.norm(x)), "b c h w -> b (h w) c")
        tokens, seen = self.block(tokens, context)
        return x + self.proj_out(rearrange(tokens, "b (h w) c -> b c h w", h=height, w=width)), seen
