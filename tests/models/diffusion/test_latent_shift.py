"""What movements do to latents: fitted to an autoencoder, exact for what lies still, and found again in pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from models.autoencoder.vae import Vae
from models.diffusion.latent_shift import FARTHEST, LatentShift, bounded
from models.families.mini import MINI
from models.training.shift_fit import fitted, fitted_once, moved

torch.set_num_threads(1)
SIDE = 128  # pixels; 16 latents


@pytest.fixture(scope="module")
def vae() -> Vae:
    torch.manual_seed(0)
    vae = Vae(replace(MINI.vae, shrink=1))
    vae.start_rough()  # the cosines of every square: linear, as a trained one nearly is
    return vae.eval().requires_grad_(False)


def pictures(number: int, seed: int) -> Tensor:
    """Soft shapes [n 3 s s]."""
    noise = torch.rand(number, 3, SIDE // 8, SIDE // 8, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(noise, size=(SIDE, SIDE), mode="bicubic").clamp(0, 1)


@pytest.fixture(scope="module")
def shift(vae: Vae) -> LatentShift:
    shift = LatentShift(8)
    shift.kernels.copy_(fitted(vae, pictures(12, 0), torch.Generator().manual_seed(0)))
    return shift


def everywhere(x: float, y: float) -> Tensor:
    return torch.tensor([x, y])[:, None, None].expand(1, 1, 2, SIDE // 8, SIDE // 8)


@pytest.mark.parametrize("by", [(0.5, 0.0), (0.3, -0.4), (1.7, 0.6), (-2.0, 1.0)])
def test_a_moved_portrait_is_the_portrait_of_what_moved(vae: Vae, shift: LatentShift, by: tuple[float, float]) -> None:
    picture = pictures(1, 99)
    portrait = vae.encode(picture)
    wanted = vae.encode(moved(picture, torch.tensor([by]) * 8))
    made = shift(portrait, everywhere(*by))[:, 0]
    inside = slice(4, -4)
    missed = (made - wanted)[..., inside, inside].square().mean()
    assert missed < 0.1 * (portrait - wanted)[..., inside, inside].square().mean()


def test_what_lies_still_is_left_as_it_is(vae: Vae, shift: LatentShift) -> None:
    portrait = vae.encode(pictures(2, 5))
    still = torch.zeros(2, 3, 2, SIDE // 8, SIDE // 8)
    assert torch.equal(shift(portrait, still), portrait[:, None].expand(-1, 3, -1, -1, -1))
    assert shift.found(portrait, portrait).abs().max() == 0


def test_a_movement_is_found_again(vae: Vae, shift: LatentShift) -> None:
    picture = pictures(1, 7)
    portrait = vae.encode(picture)
    for by in ((0.7, 0.0), (-1.2, 0.4), (3.3, 0.0)):
        found = shift.found(portrait, vae.encode(moved(picture, torch.tensor([by]) * 8)))[0, :, 4:-4, 4:-4]
        assert (found.mean((1, 2)) - torch.tensor(by)).abs().max() < 0.2


def test_what_changed_by_itself_is_taken_to_have_moved_with_its_surroundings(vae: Vae, shift: LatentShift) -> None:
    """A lid that closed is not skin from elsewhere."""
    picture = pictures(1, 7)
    seen = moved(picture, torch.tensor([[0.7, 0.0]]) * 8)
    seen[:, :, 60:76, 60:76] = seen[:, :, 72:88, 72:88].clone()
    found = shift.found(vae.encode(picture), vae.encode(seen))[0, :, 7:10, 7:10]
    assert (found - torch.tensor([0.7, 0.0])[:, None, None]).abs().max() < 0.25


def test_rows_and_frames_move_for_themselves(shift: LatentShift) -> None:
    generator = torch.Generator().manual_seed(0)
    portraits = torch.randn(2, 8, 6, 6, generator=generator)
    by = 3 * torch.randn(2, 3, 2, 6, 6, generator=generator)
    together = shift(portraits, by)
    for row in range(2):
        for frame in range(3):
            alone = shift(portraits[row : row + 1], by[row : row + 1, frame : frame + 1])
            torch.testing.assert_close(together[row, frame], alone[0, 0])


def test_a_network_learns_how_far_by_what_it_misses(shift: LatentShift, vae: Vae) -> None:
    """Descending from rest reaches a movement of more than half a latent."""
    picture = pictures(1, 3)
    portrait, by = vae.encode(picture), torch.tensor([[0.9, -0.6]])
    wanted = vae.encode(moved(picture, by * 8))
    raw = torch.zeros(1, 1, 2, 1, 1, requires_grad=True)
    optimiser = torch.optim.Adam([raw], lr=0.1)
    for _ in range(60):
        optimiser.zero_grad()
        missed = (shift(portrait, bounded(raw).expand(-1, -1, -1, 16, 16))[:, 0] - wanted)[..., 4:-4, 4:-4]
        missed.square().mean().backward()
        optimiser.step()
    assert (bounded(raw).flatten().detach() - by[0]).abs().max() < 0.1
    assert bounded(torch.tensor([1e9])).item() == FARTHEST


def test_kernels_are_fitted_once(vae: Vae, tmp_path: Path) -> None:
    latents = vae.encode(pictures(2, 1))
    first = fitted_once(tmp_path / "shift.pt", vae, latents)
    assert torch.equal(first, fitted_once(tmp_path / "shift.pt", vae, latents * 0))
