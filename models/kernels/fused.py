"""Sums that an accelerator does in one pass over memory where torch takes several; elsewhere they are torch's own.

A step of the denoiser is bound by memory between its products: a norm, its activation and the copies around both, a
gate, a residual and the norm behind it. Each is one operation here. On CUDA devices they run as kernels of Triton
(`models.kernels.on_card`), with sums in float32 and one rounding at the end. On a processor, in training, while torch's
compiler looks on (it joins such passes itself), and where Triton cannot make kernels, they are the plain ones, bit for
bit; the numerics class says which.

Shapes: b pictures or sequences, c channels, h w sides, l places, i inner channels.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from importlib.util import find_spec

import torch
import torch.nn.functional as F
from torch import Tensor, nn

log = logging.getLogger("longtake")


@lru_cache
def usable() -> bool:
    """Whether Triton is installed and makes a kernel on this process's device: it needs a C compiler and a driver."""
    if find_spec("triton") is None:
        return False
    try:
        from models.kernels import on_card

        on_card.gated(torch.zeros(1, 2, device="cuda"))
    except Exception as error:
        if isinstance(error, MemoryError | torch.OutOfMemoryError):
            raise
        why = " ".join(str(error).split())[:300]
        log.warning("this machine cannot make kernels (%s: %s); norms and gates are torch's", type(error).__name__, why)
        return False
    return True


def _on_card(x: Tensor) -> bool:
    return bool(x.is_cuda) and not torch.is_grad_enabled() and not torch.compiler.is_compiling() and usable()


def group_norm(x: Tensor, norm: nn.GroupNorm, *, silu: bool = False) -> Tensor:
    """`x` [b c h w] normalised in the layer's groups, and through SiLU. On a card channels come out last."""
    if _on_card(x):
        given = x.contiguous(memory_format=torch.channels_last)
        return _group_norm(given, norm.weight, norm.bias, norm.num_groups, norm.eps, silu)
    normal = norm(x)
    return F.silu(normal) if silu else normal


def gated(x: Tensor) -> Tensor:
    """`x` [... 2·i], values before gates -> [... i]: values times the GELU of their gates."""
    if _on_card(x):
        return _gated(x.contiguous())
    value, gate = x.chunk(2, dim=-1)
    return value * F.gelu(gate)


def add_norm(x: Tensor, more: Tensor, norm: nn.LayerNorm, bias: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """`x` [b l c] + `more`, and `bias` [c]: the sum, and the sum normalised."""
    if _on_card(x):
        return _add_norm(x, more, bias, norm.weight, norm.bias, norm.eps)
    total = x + more if bias is None else x + more + bias
    return total, norm(total)


@torch.library.custom_op("longtake::group_norm", mutates_args=(), device_types="cuda")
def _group_norm(x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float, silu: bool) -> Tensor:
    from models.kernels import on_card  # imports Triton

    return on_card.group_norm(x, weight, bias, groups, eps, silu)


@torch.library.custom_op("longtake::gated", mutates_args=(), device_types="cuda")
def _gated(x: Tensor) -> Tensor:
    from models.kernels import on_card

    return on_card.gated(x)


@torch.library.custom_op("longtake::add_norm", mutates_args=(), device_types="cuda")
def _add_norm(
    x: Tensor, more: Tensor, bias: Tensor | None, weight: Tensor, shift: Tensor, eps: float
) -> tuple[Tensor, Tensor]:
    from models.kernels import on_card

    return on_card.add_norm(x, more, bias, weight, shift, eps)


# What torch is told of their results, for tensors that hold no numbers.


@_group_norm.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float, silu: bool) -> Tensor:
    return torch.empty_like(x, memory_format=torch.channels_last)


@_gated.register_fake
def _(x: Tensor) -> Tensor:
    return x.new_empty(*x.shape[:-1], x.shape[-1] // 2)


@_add_norm.register_fake
def _(x: Tensor, more: Tensor, bias: Tensor | None, weight: Tensor, shift: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), x.new_empty(x.shape)
