"""Pixels to latents and back, in fixed groups."""

from dataclasses import replace

import pytest
import torch

from models.autoencoder.encoder import LatentEncoder
from models.autoencoder.vae import Vae, published_names
from models.families.config import VaeConfig
from models.weights.synthetic import fill

SMALL = VaeConfig(
    latent_channels=8, channels=(16, 24, 32), layers=1, groups=8, middle_attention=False, scale=0.5, unshuffle=4
)


@pytest.fixture(scope="module")
def vae() -> Vae:
    return fill(Vae(SMALL)).eval()  # type: ignore[return-value]


@torch.no_grad()
def test_the_factor_is_unshuffle_times_levels(vae: Vae) -> None:
    assert SMALL.factor == 16
    pixels = torch.rand(2, 3, 64, 32) * 2 - 1
    latents = vae.encode(pixels)
    assert latents.shape == (2, 8, 4, 2)
    torch.testing.assert_close(latents, vae.distribution(pixels).mean * 0.5)
    assert vae.decode(latents).shape == pixels.shape


def test_the_published_autoencoder() -> None:
    with torch.device("meta"):
        vae = Vae(VaeConfig())
    assert VaeConfig().factor == 8
    assert len(vae.model.state_dict()) == 248
    assert sum(p.numel() for p in vae.model.parameters()) == 83_653_863


@torch.no_grad()
def test_a_frame_is_the_same_bits_however_the_video_is_cut(vae: Vae) -> None:
    latents = torch.randn(11, 8, 2, 2, generator=torch.Generator().manual_seed(0))
    whole = vae.decode(latents, group=4, first_frame=20)
    assert whole.min() >= 0
    assert whole.max() <= 1
    pieces = [vae.decode(latents[a:b], group=4, first_frame=20 + a) for a, b in ((0, 3), (3, 4), (4, 9), (9, 11))]
    assert torch.equal(torch.cat(pieces), whole)
    torch.testing.assert_close(vae.decode(latents, group=1), whole, atol=1e-5, rtol=1e-5)


def test_older_attention_names_are_read() -> None:
    with torch.device("meta"):
        names = list(Vae(VaeConfig()).model.state_dict())
    new = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    old = {name: name for name in names}
    for today, before in new.items():
        old = {key: name.replace(f".{today}.", f".{before}.") for key, name in old.items()}
    assert old != {name: name for name in names}
    assert list(published_names({name: torch.empty(0) for name in old.values()})) == names
    assert list(published_names({name: torch.empty(0) for name in names})) == names


@torch.no_grad()
@pytest.mark.parametrize("more", [{}, {"layers": 2, "shrink": 2}, {"cosines": True, "scale": 1.0, "unshuffle": 2}])
def test_the_encoder_by_itself_gives_the_same_bits(more: dict[str, object]) -> None:
    config = replace(SMALL, **more)  # type: ignore[arg-type]
    whole = fill(Vae(config)).eval()
    alone = LatentEncoder(config).eval()
    named = whole.model.state_dict()
    alone.load_state_dict({name: named[name] for name in alone.state_dict()}, strict=False)
    assert set(alone.state_dict()) == {name for name in named if name.startswith(("encoder.", "quant_conv."))}
    pixels = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(1)) * 2 - 1
    assert torch.equal(alone.encode(pixels), whole.encode(pixels))


def test_an_encoder_by_itself_has_no_attention() -> None:
    with pytest.raises(ValueError, match="no attention"):
        LatentEncoder(VaeConfig())
