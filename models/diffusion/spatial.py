"""Spatial attention: within a frame, over the reference picture, and over the image tokens.

Reference attention puts the keys and values of the reference behind those of the frame itself. Rows that are
generated without conditions (the unconditional half of guidance) see their own frame only; they always lead the
batch, so that every layer can tell them by counting.

Shapes: r rows, f frames, l pixels of a level (h·w), c channels, t tokens.
"""

from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor, nn

from models.diffusion.attention import Attention, FeedForward, KeyValue
from models.diffusion.folded_attention import FoldedAttention, fold
from models.diffusion.layers import LayerList
from models.families.config import UNetConfig
from models.kernels.fused import add_norm, group_norm


@dataclass(frozen=True)
class SpatialContext:
    """What a spatial block sees beside its own frame; the same for all frames of a row and all steps of a clip."""

    image: FoldedAttention
    """Attention to image tokens, one set a row."""
    reference: KeyValue | None
    """The reference picture [r' k l c], for the last r' rows; None if no row sees it. Frames take the k in turn."""

    def silent(self, rows: int) -> "SpatialContext":
        """Of the first rows, none of which sees the reference."""
        return SpatialContext(self.image.first(rows), None)

    def last(self, rows: int) -> "SpatialContext":
        return SpatialContext(self.image.last(rows), self.reference)


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
        rows = len(context.image.ask)
        seen = self.norm1(x)
        answer = self._self_attention(seen, context.reference, frames=x.shape[0] // rows)
        x, query = add_norm(x, answer, self.norm2)
        # A row's frames share its tokens, so they may queue up as one long query.
        looked = context.image(rearrange(query, "(r f) l c -> r (f l) c", r=rows)).view_as(x)
        x, normal = add_norm(x, looked, self.norm3, self.attn2.to_out[0].bias)
        return x + self.ff(normal), seen

    def _self_attention(self, x: Tensor, reference: KeyValue | None, frames: int) -> Tensor:
        query, own = self.attn1.to_q(x), self.attn1.keys(x)
        if reference is None:
            return self.attn1.to_out(self.attn1.attend(query, own))
        plain = x.shape[0] - reference.key.shape[0] * frames
        both = KeyValue(
            _behind(own.key[plain:], reference.key, frames), _behind(own.value[plain:], reference.value, frames)
        )
        result = self.attn1.attend(query[plain:], both)
        if plain:
            alone = KeyValue(own.key[:plain], own.value[:plain])
            result = torch.cat([self.attn1.attend(query[:plain], alone), result])
        return self.attn1.to_out(result)


def _behind(own: Tensor, reference: Tensor, frames: int) -> Tensor:
    """Frames' own keys or values [(r f) l c] with the reference's [r k l c] behind them: [(r f) 2·l c].

    The frames of a row take the k in turn. The published order counts the frames of both halves, and a clip's start
    depends on its length. Views alone, no index: a device would have to be given one at every step.
    """
    number = reference.shape[1]
    if number == 1:
        taken = reference.expand(-1, frames, -1, -1)
    else:
        taken = torch.stack([reference[:, (frames + frame) % number] for frame in range(frames)], dim=1)
    return torch.cat([own.unflatten(0, (-1, frames)), taken], dim=2).flatten(0, 1)


class SpatialTransformer(nn.Module):
    """A transformer block between 1x1 convolutions, around which the picture passes unchanged."""

    def __init__(self, config: UNetConfig, width: int, *, norms_first: bool) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(config.groups, width, eps=1e-6)
        self.proj_in = nn.Conv2d(width, width, 1)
        self.transformer_blocks: LayerList[TransformerBlock] = LayerList(
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
        return self.transformer_blocks[0]

    def context(self, image_tokens: Tensor, reference: Tensor | None) -> SpatialContext:
        """Project `image_tokens` [r t c] and, for the last rows, reference features [r' k l c]: once a clip."""
        return SpatialContext(
            image=fold(self.block.attn2, image_tokens),
            reference=None if reference is None else self.block.attn1.keys(reference),
        )

    def forward(self, x: Tensor, context: SpatialContext) -> tuple[Tensor, Tensor]:
        """`x` [(r f) c h w] -> the same shape, and the reference feature [(r f) l c]."""
        height, width = x.shape[-2:]
        tokens = rearrange(self.proj_in(group_norm(x, self.norm)), "b c h w -> b (h w) c")
        tokens, seen = self.block(tokens, context)
        return x + self.proj_out(rearrange(tokens, "b (h w) c -> b c h w", h=height, w=width)), seen
