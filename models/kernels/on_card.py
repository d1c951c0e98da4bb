"""The kernels of `models.kernels.fused`, in Triton: one launch each, three for a group norm.

No sum here depends on which block is done first, and no choice is timed on the device: the same numbers give the same
bits. Offsets of rows are 64 bits wide; eight lanes with guidance have more numbers than 32 bits count.

Shapes: b pictures or sequences, c channels, l places, i inner channels.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

TILE = 8192  # numbers that a program holds at once
CHUNK = 64  # pixels that a program of a group norm adds up


@triton.jit
def _gated_rows(x, out, inner, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    row = tl.program_id(0).to(tl.int64)
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    there = at < inner
    value = tl.load(x + row * 2 * inner + at, mask=there).to(tl.float32)
    gate = tl.load(x + row * 2 * inner + inner + at, mask=there).to(tl.float32)
    made = value * 0.5 * gate * (1.0 + tl.math.erf(gate * 0.7071067811865476))
    tl.store(out + row * inner + at, made.to(out.dtype.element_ty), mask=there)


def gated(x: Tensor) -> Tensor:
    """`x` [... 2·i], contiguous."""
    inner = x.shape[-1] // 2
    out = x.new_empty(*x.shape[:-1], inner)
    rows, block = out.numel() // inner, min(1024, triton.next_power_of_2(inner))
    _launch(_gated_rows, (rows, triton.cdiv(inner, block)), x, out, inner, BLOCK=block)
    return out


@triton.jit
def _add_norm_rows(  # type: ignore[no-untyped-def]
    x, more, bias, weight, shift, total, normal, places, channels, x_b, x_l, more_b, more_l, eps,
    BIASED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    b, place = row // places, row % places
    c = tl.arange(0, BLOCK)
    there = c < channels
    kind = total.dtype.element_ty
    summed = tl.load(x + b * x_b + place * x_l + c, mask=there, other=0.0).to(tl.float32)
    summed += tl.load(more + b * more_b + place * more_l + c, mask=there, other=0.0).to(tl.float32)
    if BIASED:
        summed += tl.load(bias + c, mask=there, other=0.0).to(tl.float32)
    tl.store(total + row * channels + c, summed.to(kind), mask=there)
    summed = summed.to(kind).to(tl.float32)  # the norm is of what is handed on
    mean = tl.sum(summed, axis=0) / channels
    away = tl.where(there, summed - mean, 0.0)
    spread = 1.0 / tl.sqrt(tl.sum(away * away, axis=0) / channels + eps)
    scale = tl.load(weight + c, mask=there, other=0.0).to(tl.float32)
    made = away * spread * scale + tl.load(shift + c, mask=there, other=0.0).to(tl.float32)
    tl.store(normal + row * channels + c, made.to(kind), mask=there)


def add_norm(
    x: Tensor, more: Tensor, bias: Tensor | None, weight: Tensor, shift: Tensor, eps: float
) -> tuple[Tensor, Tensor]:
    """`x`, `more` [b l c] -> their sum, and the sum normalised."""
    x, more = (one if one.stride(-1) == 1 else one.contiguous() for one in (x, more))
    total, normal = x.new_empty(x.shape), x.new_empty(x.shape)
    batch, places, channels = x.shape
    _launch(
        _add_norm_rows, (batch * places,), x, more, weight if bias is None else bias, weight, shift, total, normal,
        places, channels, x.stride(0), x.stride(1), more.stride(0), more.stride(1), eps,
        BIASED=bias is not None, BLOCK=triton.next_power_of_2(channels),
    )  # fmt: skip
    return total, normal


@triton.jit
def _spread_of_chunks(  # type: ignore[no-untyped-def]
    x, means, squares, pixels, channels, chunks,
    CHUNK: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Of each channel in each chunk of pixels: the mean, and the sum of squares away from it."""
    b, chunk = tl.program_id(0).to(tl.int64), tl.program_id(1)
    c = tl.arange(0, BLOCK)[None, :]
    known = c < channels
    base = x + b * pixels * channels
    # Numbers are added as their distance from the chunk's first, so that squares of a mean do not swallow the spread.
    first = tl.load(base + chunk * CHUNK * channels + c, mask=known, other=0.0).to(tl.float32)
    added = tl.zeros((ROWS, BLOCK), tl.float32)
    squared = tl.zeros((ROWS, BLOCK), tl.float32)
    for start in range(0, CHUNK, ROWS):
        pixel = chunk * CHUNK + start + tl.arange(0, ROWS)[:, None]
        there = (pixel < pixels) & known
        away = tl.load(base + pixel * channels + c, mask=there, other=0.0).to(tl.float32) - first
        away = tl.where(there, away, 0.0)
        added += away
        squared += away * away
    count = tl.minimum(pixels - chunk * CHUNK, CHUNK).to(tl.float32)
    total = tl.sum(added, axis=0)[None, :]
    at = (b * chunks + chunk) * channels + c
    tl.store(means + at, first + total / count, mask=known)
    tl.store(squares + at, tl.sum(squared, axis=0)[None, :] - total * total / count, mask=known)


@triton.jit
def _scales_of_groups(  # type: ignore[no-untyped-def]
    means, squares, weight, bias, scales, shifts, pixels, channels, chunks, eps,
    CHUNK: tl.constexpr, WIDTH: tl.constexpr, CHUNKS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """What each channel of a group is multiplied by, and what is added to it then."""
    b, group = tl.program_id(0).to(tl.int64), tl.program_id(1)
    chunk, within = tl.arange(0, CHUNKS)[:, None], tl.arange(0, BLOCK)[None, :]
    there = (chunk < chunks) & (within < WIDTH)
    at = (b * chunks + chunk) * channels + group * WIDTH + within
    mean = tl.load(means + at, mask=there, other=0.0)
    square = tl.load(squares + at, mask=there, other=0.0)
    count = tl.where(there, tl.minimum(pixels - chunk * CHUNK, CHUNK).to(tl.float32), 0.0)
    numbers = pixels * WIDTH
    middle = tl.sum(tl.sum(mean * count, axis=1), axis=0) / numbers
    away = tl.where(there, mean - middle, 0.0)
    spread = tl.sum(tl.sum(square + count * away * away, axis=1), axis=0) / numbers
    spread = 1.0 / tl.sqrt(spread + eps)
    one = tl.arange(0, BLOCK)
    known = one < WIDTH
    scale = tl.load(weight + group * WIDTH + one, mask=known, other=0.0).to(tl.float32) * spread
    shift = tl.load(bias + group * WIDTH + one, mask=known, other=0.0).to(tl.float32) - middle * scale
    tl.store(scales + b * channels + group * WIDTH + one, scale, mask=known)
    tl.store(shifts + b * channels + group * WIDTH + one, shift, mask=known)


@triton.jit
def _scaled(  # type: ignore[no-untyped-def]
    x, scales, shifts, out, pixels, channels, SILU: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr
):
    b = tl.program_id(0).to(tl.int64)
    pixel = tl.program_id(1) * ROWS + tl.arange(0, ROWS)[:, None]
    c = tl.arange(0, BLOCK)[None, :]
    there = (pixel < pixels) & (c < channels)
    at = (b * pixels + pixel) * channels + c
    scale = tl.load(scales + b * channels + c, mask=c < channels, other=0.0)
    shift = tl.load(shifts + b * channels + c, mask=c < channels, other=0.0)
    made = tl.load(x + at, mask=there, other=0.0).to(tl.float32) * scale + shift
    if SILU:
        made = made / (1.0 + tl.exp(-made))
    tl.store(out + at, made.to(out.dtype.element_ty), mask=there)


def group_norm(x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float, silu: bool) -> Tensor:
    """`x` [b c h w], channels last."""
    batch, channels, height, width = x.shape
    pixels, out = height * width, torch.empty_like(x, memory_format=torch.channels_last)
    chunks, wide = triton.cdiv(pixels, CHUNK), triton.next_power_of_2(channels)
    rows = max(1, TILE // wide)
    means, squares = x.new_empty((2, batch, chunks, channels), dtype=torch.float32)
    scales, shifts = x.new_empty((2, batch, channels), dtype=torch.float32)
    _launch(
        _spread_of_chunks, (batch, chunks), x, means, squares, pixels, channels, chunks,
        CHUNK=CHUNK, ROWS=min(rows, CHUNK), BLOCK=wide,
    )  # fmt: skip
    within = channels // groups
    _launch(
        _scales_of_groups, (batch, groups), means, squares, weight, bias, scales, shifts, pixels, channels, chunks, eps,
        CHUNK=CHUNK, WIDTH=within, CHUNKS=triton.next_power_of_2(chunks), BLOCK=triton.next_power_of_2(within),
    )  # fmt: skip
    _launch(
        _scaled, (batch, triton.cdiv(pixels, rows)), x, scales, shifts, out, pixels, channels,
        SILU=silu, ROWS=rows, BLOCK=wide,
    )  # fmt: skip
    return out


def _launch(kernel: Any, grid: tuple[int, ...], *given: Any, **sizes: Any) -> None:
    kernel[grid](*given, **sizes)
