"""Multi-head attention and the gated feed-forward, under their published names.

Shapes: r rows, l queries, c channels, t tokens, d channels of one head, n heads.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from models.diffusion.layers import LayerSequence
from models.kernels.fused import gated

GRID = 65_535
"""Blocks that a grid has beyond its first side, on every CUDA device; fused kernels give each row one."""


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
        self.to_out: LayerSequence[nn.Linear] = LayerSequence(nn.Linear(width, width))

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
            answer = _fused(q, k, v)
        return rearrange(answer, "r n l d -> r l (n d)")

    def forward(self, x: Tensor, seen: KeyValue | None = None) -> Tensor:
        """`x` [r l c] over `seen`, or over itself."""
        return self.to_out(self.attend(self.to_q(x), seen or self.keys(x)))


def _fused(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention of rows [r n l d], in parts where they are more than an accelerator's grid has places for."""
    if not q.is_cuda or len(q) <= GRID:
        return F.scaled_dot_product_attention(q, k, v)
    parts = zip(*(x.split(GRID // 2 + 1) for x in (q, k, v)), strict=True)
    return torch.cat([F.scaled_dot_product_attention(*part) for part in parts])


class GatedLinear(nn.Module):
    """One projection into a value and its GELU gate."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.proj = nn.Linear(width, 2 * inner)

    def forward(self, x: Tensor) -> Tensor:
        return gated(self.proj(x))


class FeedForward(nn.Module):
    """Gated expansion to a multiple of the width and back."""

    def __init__(self, width: int, expansion: int = 4) -> None:
        super().__init__()
        inner = expansion * width
        # The empty middle keeps the published position, and so the name, of the second projection.
        self.net = nn.Sequential(GatedLinear(width, inner), nn.Identity(), nn.Linear(inner, width))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)
