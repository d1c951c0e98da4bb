"""Attention to a few tokens that stay the same for many queries, with its projections multiplied out beforehand.

A query q = x·Q meets a key k in x·(Q·kᵀ), and an answer a·v passes the output projection O, and what may follow it, in
a·(v·O). With few tokens the products in brackets are far smaller than Q and O: a head's tokens are all that is left to
multiply by, and the sums are the same ones, added in another order.

Shapes: g groups of queries that see the same tokens, l queries, c channels, t tokens, e their width, n heads,
d channels of one head, k attentions side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.diffusion.attention import Attention


@dataclass(frozen=True)
class FoldedAttention:
    """One attention, or several of the same queries side by side, to fixed tokens."""

    ask: Tensor
    """Queries to scores [g c (k n t)]."""
    answer: Tensor
    """Weights of tokens to the result [g (k n t) c]. What does not depend on them (biases) is the caller's."""
    tokens: int

    def first(self, groups: int) -> FoldedAttention:
        return FoldedAttention(self.ask[:groups], self.answer[:groups], self.tokens)

    def last(self, groups: int) -> FoldedAttention:
        return FoldedAttention(self.ask[-groups:], self.answer[-groups:], self.tokens)

    def __call__(self, x: Tensor, shares: Tensor | None = None) -> Tensor:
        """`x` [g l c] -> [g l c], the sum over the attentions side by side, each times its `shares` [g l k]."""
        weights = torch.softmax((x @ self.ask).unflatten(-1, (-1, self.tokens)), dim=-1)
        if shares is not None:
            weights = weights.unflatten(-2, (shares.shape[-1], -1)) * shares[..., None, None]
        return weights.flatten(2) @ self.answer


def fold(attention: Attention, context: Tensor, after: Tensor | None = None) -> FoldedAttention:
    """`attention` to `context` [g t e]; `after` [c c] is a matrix that the result is multiplied by (as a layer's).

    Of layers in half precision the products are made in float32 and rounded once: they are done but once a clip, and a
    sum over a head's channels before its scale could leave the range of float16.
    """
    seen = attention.keys(context)
    keys, values = (x.float().unflatten(-1, (attention.heads, -1)) for x in (seen.key, seen.value))
    query = attention.to_q.weight.float().unflatten(0, (attention.heads, -1))  # n d c
    out = attention.to_out[0].weight.float()
    out = out if after is None else after.float() @ out
    ask = torch.einsum("ndc,gtnd->gcnt", query, keys) * keys.shape[-1] ** -0.5
    answer = torch.einsum("gtnd,cnd->gntc", values, out.unflatten(1, (attention.heads, -1)))
    kind = context.dtype
    return FoldedAttention(ask.flatten(2).to(kind), answer.flatten(1, 2).to(kind), context.shape[1])


def side_by_side(parts: Sequence[FoldedAttention]) -> FoldedAttention:
    """Attentions of the same queries to as many tokens each, as one."""
    ask, answer = torch.cat([one.ask for one in parts], dim=2), torch.cat([one.answer for one in parts], dim=1)
    return FoldedAttention(ask, answer, parts[0].tokens)
