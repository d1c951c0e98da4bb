"""From float16 to types that reach further: results without losing what was not finite, and networks in bfloat16."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn


def widened(x: Tensor, kind: torch.dtype) -> Tensor:
    """A network's result in a wider type. What had left the range becomes NaN, which no clamp hides afterwards."""
    if x.dtype == kind:
        return x
    wide = x.to(kind)
    return wide.masked_fill_(wide.isinf(), float("nan"))


def in_bfloat16(network: nn.Module) -> nn.Module:
    """A copy whose tensors of float16 are of bfloat16; what is in other types is shared, not copied."""
    known: dict[int, Any] = {}
    for held in (*network.parameters(), *network.buffers()):
        known[id(held)] = _wide(held)
    return copy.deepcopy(network, known)


def _wide(held: Tensor) -> Tensor:
    if held.dtype != torch.float16 or held.is_meta:
        return held
    wide = held.detach().to(torch.bfloat16)
    return nn.Parameter(wide, held.requires_grad) if isinstance(held, nn.Parameter) else wide
