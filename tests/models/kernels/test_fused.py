"""Kernels against torch's own operations: on a card, else in Triton's interpreter. They are skipped without Triton.

`pip install triton` brings it (290 MB, and no CUDA); where torch is built for CUDA it is there.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import models.kernels
from models.kernels import fused
from models.weights import precision

KINDS = [torch.float16, torch.bfloat16, torch.float32]
CLOSE = {torch.float16: 2e-3, torch.bfloat16: 2e-2, torch.float32: 2e-6}


DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
if DEVICE == "cpu":  # before anything imports Triton, which looks at it then
    os.environ.setdefault("TRITON_INTERPRET", "1")


@pytest.fixture(scope="module")
def kernels() -> ModuleType:
    pytest.importorskip("triton")
    return importlib.import_module("models.kernels.on_card")


def numbers(*shape: int, kind: torch.dtype = torch.float32, seed: int = 0, device: str = DEVICE) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(device, kind)


def layer(made: Any, device: str = DEVICE) -> Any:
    """With weights that are not all alike."""
    with torch.no_grad():
        made.weight.copy_(1 + 0.3 * numbers(*made.weight.shape, seed=1, device="cpu"))
        made.bias.copy_(0.3 * numbers(*made.bias.shape, seed=2, device="cpu"))
    return made.requires_grad_(False).to(device)


def far(found: Tensor, wanted: Tensor) -> float:
    """The largest difference, of the largest number."""
    return float((found.double() - wanted.double()).abs().max() / wanted.double().abs().max())


@pytest.mark.parametrize("silu", [True, False])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(2, 40, 8, 8), (1, 12, 13, 9), (3, 64, 1, 1), (1, 96, 16, 16)])
def test_group_norm(kernels: ModuleType, shape: tuple[int, ...], kind: torch.dtype, silu: bool) -> None:
    norm, x = layer(nn.GroupNorm(4, shape[1], eps=1e-5)), numbers(*shape, kind=kind) * 3 + 1
    given = x.contiguous(memory_format=torch.channels_last)
    found = kernels.group_norm(given, norm.weight, norm.bias, 4, 1e-5, silu)
    assert found.dtype == kind
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert far(found, fused.group_norm(x.float(), norm, silu=silu)) < CLOSE[kind]


def test_a_mean_far_from_zero_leaves_the_spread_as_it_is(kernels: ModuleType) -> None:
    """Squares of such a mean have no places left for the spread in float32."""
    norm, x = layer(nn.GroupNorm(4, 16)), numbers(1, 16, 12, 12) + 3000
    found = kernels.group_norm(x.contiguous(memory_format=torch.channels_last), norm.weight, norm.bias, 4, 1e-5, False)
    wanted = nn.functional.group_norm(x.double(), 4, norm.weight.double(), norm.bias.double())
    assert far(found, wanted) < 1e-3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(5, 2 * 24), (2, 3, 2 * 1280), (1, 7, 2 * 17)])
def test_gated(kernels: ModuleType, shape: tuple[int, ...], kind: torch.dtype) -> None:
    x = numbers(*shape, kind=kind) * 2
    assert far(kernels.gated(x), fused.gated(x.float())) < CLOSE[kind]


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("skip", [0, 2])
def test_add_norm(kernels: ModuleType, kind: torch.dtype, biased: bool, skip: int) -> None:
    """`skip`: of a longer sequence, as behind motion frames."""
    norm = layer(nn.LayerNorm(40))
    x, more = numbers(3, 6 + skip, 40, kind=kind)[:, skip:], numbers(3, 6, 40, kind=kind, seed=3)
    bias = numbers(40, kind=kind, seed=4) if biased else None
    found = kernels.add_norm(x, more, bias, norm.weight, norm.bias, norm.eps)
    given = None if bias is None else bias.float()
    wanted = fused.add_norm(x.float(), more.float(), norm, given)
    assert found[0].is_contiguous()
    for one, other in zip(found, wanted, strict=True):
        assert far(one, other) < CLOSE[kind]


def test_the_same_numbers_give_the_same_bits(kernels: ModuleType) -> None:
    norm, x = layer(nn.GroupNorm(4, 16)), numbers(2, 16, 12, 12, kind=torch.float16)
    x = x.contiguous(memory_format=torch.channels_last)
    both = kernels.group_norm(x, norm.weight, norm.bias, 4, 1e-5, True)
    assert torch.equal(both[1:], kernels.group_norm(x[1:], norm.weight, norm.bias, 4, 1e-5, True))


def plain(*shape: int, seed: int = 0) -> Tensor:
    return numbers(*shape, seed=seed, device="cpu")


GROUPED, ROWS = layer(nn.GroupNorm(2, 8), "cpu"), layer(nn.LayerNorm(8), "cpu")
PAIRS: dict[str, tuple[Callable[[], Tensor], Callable[[], Tensor]]] = {
    "group norm": (
        lambda: fused.group_norm(plain(2, 8, 4, 4), GROUPED, silu=True),
        lambda: nn.functional.silu(GROUPED(plain(2, 8, 4, 4))),
    ),
    "gated": (
        lambda: fused.gated(plain(3, 8)), lambda: plain(3, 8)[:, :4] * nn.functional.gelu(plain(3, 8)[:, 4:]),
    ),
    "sum and norm": (
        lambda: fused.add_norm(plain(2, 3, 8), plain(2, 3, 8, seed=1), ROWS)[1],
        lambda: ROWS(plain(2, 3, 8) + plain(2, 3, 8, seed=1)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PAIRS)
def test_on_a_processor_they_are_torchs_own_bit_for_bit(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "usable", lambda: True)
    ours, torchs = PAIRS[name]
    with torch.no_grad():
        assert torch.equal(ours(), torchs())


def test_a_machine_that_cannot_make_kernels_says_so_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(fused, "find_spec", lambda name: object())
    monkeypatch.setitem(sys.modules, "models.kernels.on_card", None)  # to import it fails
    monkeypatch.delattr(models.kernels, "on_card", raising=False)
    fused.usable.cache_clear()
    try:
        assert not fused.usable()
    finally:
        fused.usable.cache_clear()
    assert "cannot make kernels (ModuleNotFoundError" in caplog.text


def test_the_class_of_arithmetic_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "usable", lambda: False)
    assert precision.libraries()["kernels"] == "none"
    monkeypatch.setattr(precision, "usable", lambda: True)
    monkeypatch.setattr(precision, "version", lambda package: "3.7.1")
    assert precision.libraries()["kernels"] == "triton 3.7.1"
