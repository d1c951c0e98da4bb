"""What is counted of a step at full width: against sums made by hand, and as a bound that a change may not exceed."""

from __future__ import annotations

from functools import cache
from unittest import mock

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.networks.kernels import BANDWIDTH, PRODUCTS, Counted, Kernels, SaidOnCard, size_of, step, total
from models.kernels import fused

LAUNCHES, BYTES = 1639, 185.6e9  # of a guided step, as docs/performance.md has them; who makes it less lowers these


@cache
def counted(guided: bool, kernels: bool) -> dict[str, Kernels]:
    return step(guided=guided, kernels=kernels)


def halves(*shape: int) -> Tensor:
    return torch.empty(shape, device="meta", dtype=torch.float16)


def of(call: object) -> dict[str, Kernels]:
    found = Counted()
    with torch.no_grad(), mock.patch.object(fused, "usable", return_value=True), SaidOnCard(found), found:
        call()  # type: ignore[operator]
    return dict(found.kinds)


def test_bytes_are_what_is_read_and_written_once() -> None:
    (products,) = of(lambda: halves(32, 64) @ halves(64, 16)).values()
    assert (products.launches, products.bytes) == (1, 2 * (32 * 64 + 64 * 16 + 32 * 16))
    assert products.flop == 2 * 32 * 64 * 16
    assert products.seconds == max(products.bytes / BANDWIDTH, products.flop / PRODUCTS)
    assert size_of(halves(1, 8).expand(5, 8)) == 16


def test_a_gate_is_one_kernel() -> None:
    (gate,) = of(lambda: fused.gated(halves(6, 10))).values()
    assert (gate.launches, gate.bytes) == (1, 2 * (60 + 30))


def test_a_group_norm_is_three_kernels_and_keeps_the_layout() -> None:
    norm = torch.nn.GroupNorm(2, 8, device="meta", dtype=torch.float16)
    x = halves(3, 8, 4, 4).to(memory_format=torch.channels_last)
    found = of(lambda: fused.group_norm(x, norm, silu=True))
    assert found.keys() == {"norms"}
    assert (found["norms"].launches, found["norms"].bytes) == (3, 2 * (3 * x.numel() + 2 * 8))


def test_attention_computes_whole_tiles_of_wider_heads() -> None:
    q, k = halves(2, 8, 100, 40), halves(2, 8, 70, 40)
    (one,) = of(lambda: F.scaled_dot_product_attention(q, k, k)).values()
    assert one.flop == 4 * 2 * 8 * 100 * 70 * 40
    assert one.seconds == pytest.approx(4 * 2 * 8 * 128 * 128 * 64 / 450e12)


@pytest.mark.slow
@pytest.mark.parametrize("guided", [True, False])
def test_our_kernels_move_less_and_compute_the_same(guided: bool) -> None:
    plain, ours = counted(guided, False), counted(guided, True)
    for kind in ("attention", "products", "convolutions"):
        assert (plain[kind].launches, plain[kind].flop) == (ours[kind].launches, ours[kind].flop)
    assert total(ours).bytes < 0.85 * total(plain).bytes
    assert total(ours).launches < 0.91 * total(plain).launches


@pytest.mark.slow
def test_a_guided_step_takes_no_more_than_it_did() -> None:
    found = total(counted(True, True))
    assert found.launches <= LAUNCHES
    assert found.bytes <= BYTES
