"""Cosines of squares: a linear map, and its inverse on what it keeps."""

from __future__ import annotations

import pytest
import torch

from models.autoencoder.cosines import Cosines
from models.autoencoder.vae import Vae
from models.families.config import VaeConfig


@pytest.mark.parametrize(("coefficients", "side"), [(3, 4), (8, 8), (13, 8)])
def test_what_is_kept_comes_back(coefficients: int, side: int) -> None:
    cosines = Cosines(coefficients, side)
    latents = torch.randn(2, coefficients, 4, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(cosines.split(cosines.join(latents)), latents, atol=1e-5, rtol=1e-5)


def test_plain_colours_come_back_whole() -> None:
    cosines = Cosines(8, 8)
    colour = torch.tensor([0.5, -0.25, 1.0])[None, :, None, None].expand(1, 3, 16, 16)
    torch.testing.assert_close(cosines.join(cosines.split(colour)), colour)


def test_as_many_as_there_are() -> None:
    with pytest.raises(ValueError, match="coefficients is 2: expected 3 to 13"):
        Cosines(2, 8)


def test_an_autoencoder_starts_as_the_cosines_do() -> None:
    config = VaeConfig(8, (8, 8), 1, 2, False, 1.0, unshuffle=2, shrink=2, cosines=True)
    vae = Vae(config)
    vae.start_rough()
    picture = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    latents = vae.encode(picture)
    assert latents.shape == (1, 8, 4, 4)
    small = torch.nn.functional.avg_pool2d(picture, 2)
    torch.testing.assert_close(latents, Cosines(8, 4).split(small))
    assert vae.decode_raw(latents).shape == picture.shape
    assert set(vae.state_dict()) == {f"model.{name}" for name in vae.model.state_dict()}  # nothing more in a file
