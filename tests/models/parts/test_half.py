"""Half precision of the upscaler's networks: how far pictures are from float32, and what is said of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from models.families.hallo2 import HALLO2
from models.families.protocol import PictureOptions
from models.families.registry import HALLO2_FAMILY, MINI_FAMILY, load_part
from models.families.upscale_config import CodebookConfig, EnlargerConfig, FoldedEnlargerConfig, RestorerConfig
from models.parts import part as parts
from models.restoration.folded_enlarger import FoldedEnlarger
from models.weights.precision import HALVED, number_type
from models.weights.synthetic import fill

BOOK = CodebookConfig(
    side=64, unshuffle=2, width=8, multipliers=(1, 2), attention_at=(16,), code_width=8, codes=32, groups=4
)
TINY = replace(
    HALLO2_FAMILY,
    threads=1,
    networks=replace(
        HALLO2,
        vae=replace(HALLO2.vae, channels=(8, 8, 16, 16), layers=1, groups=4),
        restorer=RestorerConfig(BOOK, dim=16, heads=2, layers=2, fuse_at=(32,)),
        enlarger=EnlargerConfig(width=8, growth=4, blocks=1),
        upscale=replace(HALLO2.upscale, crop="box"),
        detector=None,
        parser=None,
    ),
)


def pictures(part: Any, family: Any, base: int) -> torch.Tensor:
    options = PictureOptions(base, 2 * base, 1.0, "x2")
    latents = np.random.default_rng(2).standard_normal((4, *family.latent_shape(base))).astype(np.float16)
    frames = [frame for latent in latents for frame in part.decode(latent[None], options)] * 4
    face = {"face_box": np.array([0.3, 0.3, 0.7, 0.7], np.float32) * base}
    return torch.stack([frame.picture for frame in part.restore(frames, range(2), face, options)])


@pytest.mark.parametrize(("half", "least"), [(torch.float16, 35), (torch.bfloat16, 25)])
def test_pictures_are_those_of_float32_but_for_rounding(
    half: torch.dtype, least: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    part: Any = load_part(TINY, "upscale", None, "cpu")
    exact = pictures(part, TINY, 64)
    assert part.numerics()["precision"] == "float32"
    monkeypatch.setattr(parts, "number_type", lambda family, name, device: half if name in HALVED else torch.float32)
    part = load_part(TINY, "upscale", None, "cpu")
    halved = pictures(part, TINY, 64)
    assert halved.dtype == torch.float32
    told = f"{str(half).removeprefix('torch.')} enlarger, restorer, vae; float32 restorer's codes"
    assert part.numerics()["precision"] == told
    assert float(-10 * torch.log10((exact - halved).square().mean())) >= least
    assert not torch.equal(exact, halved)


def test_the_small_x2_network_too() -> None:
    enlarger = fill(FoldedEnlarger(FoldedEnlargerConfig())).eval()
    picture = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        exact, halved = enlarger(picture), enlarger.half()(picture)
    assert halved.dtype == torch.float32
    assert torch.allclose(halved, exact, atol=2e-2)


def test_detector_and_parser_stay_in_float32() -> None:
    cuda = torch.device("cuda")
    for name in ("restorer", "enlarger", "vae"):
        assert number_type(HALLO2_FAMILY, name, cuda) == torch.float16
        assert number_type(MINI_FAMILY, name, cuda) == torch.float32
    for name in ("detector", "parser"):
        assert number_type(HALLO2_FAMILY, name, cuda) == torch.float32


def test_the_type_changes_no_hash() -> None:
    assert (
        replace(MINI_FAMILY, accelerator_dtype="float16").default_weights_hash() == MINI_FAMILY.default_weights_hash()
    )
