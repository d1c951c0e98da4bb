"""Half precision: the chain, text branch and autoencoder in it, everything between them in float32."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.networks.chain import REDUCED, last, make_clip, make_networks, psnr
from models.autoencoder.vae import Vae
from models.diffusion.clip import Clip, clip_context, clip_steps
from models.diffusion.text_modulation import TextBranch
from models.families.config import Sampling, TextConfig, VaeConfig
from models.families.protocol import ClipOptions
from models.families.registry import FAMILIES, load_part
from models.parts import part as parts
from models.weights.precision import HALVED, number_type, told
from models.weights.synthetic import fill
from models.weights.synthetic_tree import write_tree
from tests.support.tiny_hallo2 import TINY_FAMILY

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
PRODUCTS = ("mm", "bmm", "conv", "matmul", "einsum", "linear", "scaled_dot_product")
HALVES = pytest.mark.parametrize(("half", "least"), [(torch.float16, 45.0), (torch.bfloat16, 35.0)])


class Products(TorchDispatchMode):
    """Notes in what types products and convolutions are computed."""

    def __init__(self) -> None:
        super().__init__()
        self.types: dict[torch.dtype, set[str]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if any(part in name for part in PRODUCTS):
            for value in args:
                if isinstance(value, Tensor) and value.is_floating_point():
                    self.types.setdefault(value.dtype, set()).add(name)
        return func(*args, **(kwargs or {}))


def guided_clip() -> tuple[Clip, Tensor]:
    clip, noise = make_clip(REDUCED, 2, CPU, torch.float32, side=8)
    return dataclasses.replace(clip, prompt=torch.randn(1, 16, generator=torch.Generator().manual_seed(1))), noise


def text_branch() -> TextBranch:
    with torch.device("meta"):
        branch = TextBranch(TextConfig(embedding_width=16, hidden_width=16), REDUCED.unet)
    return fill(branch).eval().requires_grad_(False)


@HALVES
@torch.inference_mode()
def test_a_clip_in_half_precision_is_the_same_clip(half: torch.dtype, least: float) -> None:
    clip, noise = guided_clip()
    sampling = Sampling(steps=4)
    whole = last(clip_steps(make_networks(REDUCED, CPU, torch.float32), clip, noise, sampling, text_branch()))
    steps = clip_steps(make_networks(REDUCED, CPU, half), clip, noise, sampling, text_branch().to(half))
    for latents in steps:
        assert latents.dtype == torch.float32  # what goes from step to step loses nothing
    assert latents.isfinite().all()
    assert psnr(latents, whole) >= least


@HALVES
@torch.inference_mode()
def test_every_product_of_a_step_is_made_in_half_precision(half: torch.dtype, least: float) -> None:
    networks, text = make_networks(REDUCED, CPU, half), text_branch().to(half)
    clip, noise = guided_clip()
    context = clip_context(networks, clip, guided=True, text=text)
    with Products() as products:
        networks.denoising_unet(torch.cat([noise, noise]).to(half), torch.tensor([500, 500]), context)
    assert set(products.types) == {half}
    assert any("conv" in name for name in products.types[half])
    assert any(name in ("mm", "addmm", "linear") for name in products.types[half])
    # Once a clip: everything but the products of weights that attention to fixed tokens is multiplied out into.
    with Products() as products:
        clip_context(networks, clip, guided=True, text=text)
    assert products.types[torch.float32] <= {"einsum", "matmul", "bmm", "mm"}
    assert any("conv" in name for name in products.types[half])


@HALVES
@torch.inference_mode()
def test_conditions_as_large_as_they_come_leave_no_hole(half: torch.dtype, least: float) -> None:
    """Loud features and masks of nothing at all, where a sum could leave float16's range."""
    networks = make_networks(REDUCED, CPU, half)
    clip, noise = make_clip(REDUCED, 2, CPU, torch.float32, side=8)
    empty = tuple(tuple(torch.zeros_like(mask) for mask in region) for region in clip.masks)
    loud = dataclasses.replace(clip, audio=30 * clip.audio, face_embedding=30 * clip.face_embedding, masks=empty)
    assert last(clip_steps(networks, loud, noise, Sampling(steps=2))).isfinite().all()


@HALVES
@torch.inference_mode()
def test_the_autoencoder_takes_and_gives_float32(half: torch.dtype, least: float) -> None:
    config = VaeConfig(channels=(16, 32), layers=1, groups=8)
    with torch.device("meta"):
        empty = Vae(config)
    vae = fill(empty).eval().requires_grad_(False)
    pixels = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    latents = vae.encode(pixels)
    shown = vae.decode(latents)
    vae = vae.to(half)
    with Products() as products:
        found = vae.encode(pixels)
        pictures = vae.decode(latents)
    assert set(products.types) == {half}
    assert found.dtype == pictures.dtype == torch.float32
    assert psnr(found, latents) >= least
    assert psnr(pictures, shown) >= least - 10  # clamped to a narrow range


def test_which_networks_are_halved_where() -> None:
    hallo2, mini, gpu = FAMILIES["hallo2"], FAMILIES["mini"], torch.device("cuda")
    assert {number_type(hallo2, name, gpu) for name in HALVED} == {torch.float16}  # as published
    assert number_type(hallo2, "speech", gpu) == torch.float32
    assert {number_type(one, name, CPU) for one in (hallo2, mini) for name in HALVED} == {torch.float32}
    assert number_type(mini, "chain", gpu) == torch.float32


def test_the_type_enters_no_hash() -> None:
    family = FAMILIES["mini"]
    other = dataclasses.replace(family, accelerator_dtype="bfloat16")
    assert other.default_weights_hash() == family.default_weights_hash()


def test_types_as_records_name_them() -> None:
    half, whole = torch.float16, torch.float32
    assert told({"chain": half, "vae": half}) == "float16"
    assert told({"vae": half, "speech": whole, "chain": half}) == "float16 chain, vae; float32 speech"


def test_a_part_in_half_precision_says_so_and_carries_float32(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On a processor standing in for an accelerator."""
    options = ClipOptions(steps=2, guidance_scale=3.5, base_size=64)
    write_tree(tmp_path, TINY_FAMILY, text=True)
    whole = load_part(TINY_FAMILY, "chain", str(tmp_path), "cpu")
    assert whole.numerics()["precision"] == "float32"
    monkeypatch.setattr(
        parts, "number_type", lambda family, name, device: torch.bfloat16 if name in HALVED else torch.float32
    )
    half = load_part(TINY_FAMILY, "chain", str(tmp_path), "cpu")
    assert half.numerics()["precision"] == "bfloat16 chain, text, vae; float32 clip"
    lane = dataclasses.replace(whole.sample(0, options), text="a sad face")
    ((latents, state),), ((wanted, _),) = half.next_clip([lane]), whole.next_clip([lane])
    assert state["motion"].dtype == "float32"
    assert psnr(torch.from_numpy(latents).float(), torch.from_numpy(wanted).float()) >= 35
