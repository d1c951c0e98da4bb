"""What would break on an accelerator, on a pretended one: each fault by itself, on as little as shows it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from models.diffusion.attention import GRID, Attention
from models.families.dead_device import is_dead
from models.families.memory_plan import Fitted, Pieces
from models.families.protocol import ClipOptions
from models.families.registry import HALLO2_FAMILY, load_part
from models.image.wider import in_bfloat16, widened
from models.parts.lanes import calibrate
from models.parts.part import Part
from models.restoration.restorer import adaptive_instance_norm
from models.weights.loading import load
from models.weights.precision import astray
from tests.support.pretended_device import Card, pretended
from tests.support.tiny_hallo2 import TINY, TINY_FAMILY

pytestmark = pytest.mark.usefixtures("one_thread")

CUDA, GIB = torch.device("cuda", 0), 1 << 30


@pytest.fixture
def card() -> Iterator[Card]:
    with pretended() as found:
        yield found


class Planted(nn.Module):
    """A linear layer with something that no `to` moves."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.table = torch.arange(4.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x) + self.table


def bare(family: Any = TINY_FAMILY) -> Part:
    return Part(family, None, "cuda")


# -- where tensors lie ------------------------------------------------------------------------------------------------


def test_the_text_model_answers_where_it_lies(tmp_path: Path, card: Card) -> None:
    """Its positions are in no file."""
    from safetensors.torch import save_file

    from models.weights.recipes import RECIPES

    network = RECIPES["clip"].make(TINY)
    file = next(one for one in TINY_FAMILY.tree if one.network == "clip" and one.paths[0].endswith("safetensors"))
    path = tmp_path / "model.safetensors"
    save_file({f"text_model.{name}": value.contiguous() for name, value in network.state_dict().items()}, path)
    loaded = load(path, file, TINY, "cuda")
    assert not astray(loaded, CUDA)
    tokens = torch.arange(24)[None].to("cuda")
    assert loaded(input_ids=tokens).pooler_output.device == CUDA


def test_a_network_with_a_tensor_elsewhere_is_not_used(card: Card) -> None:
    network = Planted().to("cuda")
    assert astray(network, CUDA) == ["table"]
    with pytest.raises(RuntimeError, match="vae: table not on cuda:0, where the network is"):
        bare()._laid_out(network, "vae")


def test_loading_takes_no_more_memory_than_running(card: Card) -> None:
    part = load_part(TINY_FAMILY, "upscale", None, "cuda")
    held, most = card.bytes, card.most_bytes
    half = sum(t.nbytes for t in part._vae.state_dict().values())
    assert {t.dtype for t in part._vae.state_dict().values()} == {torch.float16}
    assert half < held
    assert most <= 1.2 * held  # twice that, where everything came as float32 first


# -- what is computed, and how ----------------------------------------------------------------------------------------


def test_one_way_of_computing(card: Card, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, before in {"benchmark": True, "deterministic": False, "allow_tf32": True}.items():
        monkeypatch.setattr(torch.backends.cudnn, name, before)
    numerics = bare().numerics()
    cudnn = torch.backends.cudnn
    assert (cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32) == (False, True, False)
    assert not torch.backends.cuda.matmul.allow_tf32
    assert {"device", "torch", "cudnn", "cuda"} <= numerics.keys()


def test_pieces_follow_from_the_card_and_not_from_what_else_runs(card: Card) -> None:
    def chosen(free: int, total: int = 24 * GIB) -> Pieces:
        fitted = Fitted(Pieces(1, 0), HALLO2_FAMILY.footprint, 1, 40)
        fitted.choose(512, 4096, free, None, total)
        return fitted.now

    assert chosen(23 * GIB) == chosen(20 * GIB) == chosen(18 * GIB)
    assert chosen(6 * GIB) == Pieces(1, 1024)  # it does not fit beside the others: what is free decides


def test_what_the_allocator_keeps_counts_as_free(card: Card, monkeypatch: pytest.MonkeyPatch) -> None:
    from models.parts.upscale import _memory

    card.free = 2 * GIB
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 7 * GIB)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 3 * GIB)
    assert _memory(CUDA) == (6 * GIB, card.total)


@pytest.mark.parametrize("rows", [GRID, GRID + 1])
def test_more_rows_than_a_grid_has_places(rows: int, card: Card) -> None:
    layer = Attention(8, 1)
    x = torch.randn(rows, 1, 8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        wanted = layer(x)
    there = layer.to("cuda")
    with torch.inference_mode():
        found = there(x.to("cuda")).cpu()
    torch.testing.assert_close(found, wanted)


def test_colours_and_codes_of_the_restorer_are_chosen_in_float32(card: Card) -> None:
    part = load_part(TINY_FAMILY, "upscale", None, "cuda")
    restorer = part._upscalers["none"].restorer
    assert restorer.dtype == torch.float16
    for whole in (restorer.ft_layers, restorer.idx_pred_layer, restorer.feat_emb, restorer.quantize):
        assert {value.dtype for value in whole.state_dict().values()} == {torch.float32}
    assert "float32" in part.numerics()["precision"]
    assert "restorer's codes" in part.numerics()["precision"]


def test_the_spread_of_what_hardly_varies_survives_half_precision() -> None:
    content = torch.randn(1, 2, 8, 8, generator=torch.Generator().manual_seed(0)) * 1e-3
    style = torch.randn(1, 2, 8, 8, generator=torch.Generator().manual_seed(1))
    wanted = adaptive_instance_norm(content, style)
    found = adaptive_instance_norm(content.half(), style.half())
    assert (found.float() - wanted).abs().max() < 0.001 * wanted.abs().max()


# -- numbers that are none --------------------------------------------------------------------------------------------


def test_what_leaves_the_range_stays_visible() -> None:
    large = torch.tensor([1.0, torch.inf, -torch.inf], dtype=torch.float16)
    wide = widened(large, torch.float32)
    assert wide.clamp(0, 1).isfinite().tolist() == [True, False, False]
    exact = torch.tensor([torch.inf])
    assert widened(exact, torch.float32) is exact


def test_a_copy_in_bfloat16_shares_what_is_not_in_float16() -> None:
    network = nn.Sequential(nn.Linear(2, 2).half(), nn.Linear(2, 2))
    wide = in_bfloat16(network)
    assert wide[0].weight.dtype == torch.bfloat16
    assert wide[1].weight is network[1].weight
    assert network[0].weight.dtype == torch.float16


def test_a_clip_that_overflows_is_made_again_and_its_neighbours_are_not(card: Card) -> None:
    part = load_part(replace(TINY_FAMILY, networks=replace(TINY, text=None)), "chain", None, "cuda")
    options = ClipOptions(1, 1.0, 64)
    good, loud = part.sample(0, options), part.sample(1, options)
    loud.features[:] *= 1e6  # sums over it leave float16's range
    alone, _ = part.next_clip([good, good])
    assert part.remade == frozenset()
    kept, again = part.next_clip([good, loud])
    assert part.remade == {1}
    assert np.isfinite(again[0]).all()
    assert np.isfinite(again[1]["motion"]).all()
    assert kept[0].tobytes() == alone[0].tobytes()
    assert part.numerics()["not_finite"] == "again in bfloat16"
    assert part._networks.dtype == torch.float16


def test_a_picture_that_overflows_is_refused_and_made_again_in_bfloat16(card: Card) -> None:
    from models.families.finite import NotFinite
    from tests.support.card_paths import PICTURES, frames_of

    part = load_part(TINY_FAMILY, "upscale", None, "cuda")
    with torch.no_grad():
        part._vae.model.decoder.conv_out.bias.fill_(6.4e4)
        part._vae.model.decoder.conv_norm_out.weight.fill_(6e4)
    latents = np.random.default_rng(0).standard_normal((16, 4, 8, 8)).astype(np.float16)
    options, face = PICTURES["lanczos"], {"face_box": np.array([20, 20, 40, 40], np.float32)}

    def pictures(one: Any) -> list[np.ndarray]:
        frames = frames_of(one, latents[:1].repeat(16, 0), options, faces=False)
        return [one.planes(frame) for frame in one.restore(frames, range(4, 5), face, options)]

    with pytest.raises(NotFinite):
        pictures(part)
    wider = part.wider()
    assert len(pictures(wider)) == 1
    assert wider.numerics() == part.numerics()
    assert load_part(TINY_FAMILY, "upscale", None, "cpu").wider() is None


# -- a device that is gone --------------------------------------------------------------------------------------------


class AcceleratorError(RuntimeError):
    """As torch names what leaves a context dead."""


class OutOfMemoryError(RuntimeError):
    pass


@pytest.mark.parametrize(
    ("error", "dead"),
    [
        (AcceleratorError("an illegal memory access was encountered"), True),
        (RuntimeError("CUDA error: unspecified launch failure"), True),
        (OutOfMemoryError("CUDA error: out of memory"), False),
        (RuntimeError("shapes cannot be multiplied"), False),
        (ValueError("CUDA error: in a text"), False),
    ],
)
def test_which_errors_leave_nothing_to_compute_with(error: Exception, dead: bool) -> None:
    assert is_dead(error) is dead
    outer = LookupError("around it")
    outer.__cause__ = error
    assert is_dead(outer) is dead


class Failing:
    """A chain part that fails from so many lanes on."""

    def __init__(self, lanes: int, error: Exception) -> None:
        self.lanes, self.error = lanes, error

    def sample(self, seed: int, options: ClipOptions) -> Any:
        return seed

    def next_clip(self, lanes: list[Any]) -> list[Any]:
        if len(lanes) >= self.lanes:
            raise self.error
        return [(np.array([lane]), {}) for lane in lanes]


def test_lanes_that_a_kernel_does_not_take_are_not_taken() -> None:
    options, odd = ClipOptions(1, 1.0, 64), RuntimeError("invalid configuration argument")
    ticks = iter(range(100))

    def clock() -> float:
        return next(ticks)

    assert calibrate(Failing(4, odd), options, clock=clock) == 2
    with pytest.raises(RuntimeError, match="invalid configuration"):
        calibrate(Failing(1, odd), options, clock=clock)
    with pytest.raises(AcceleratorError):
        calibrate(Failing(4, AcceleratorError("gone")), options, clock=clock)
