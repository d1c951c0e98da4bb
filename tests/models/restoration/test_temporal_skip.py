"""The restorer's averaging over frames: it takes noise away where nothing moves, and holds nothing still that does."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from models.families.upscale_config import SkipConfig
from models.restoration.temporal_skip import TemporalSkip, noise

FRAMES, SIDE = 16, 128


@pytest.fixture(scope="module")
def skip() -> TemporalSkip:
    torch.manual_seed(0)
    return TemporalSkip(SkipConfig()).eval().requires_grad_(False)


def picture() -> Tensor:
    """[3 SIDE SIDE]: structure of some pixels' size in the upper left quarter; the rest is plain."""
    torch.manual_seed(1)
    x = F.interpolate(torch.randn(1, 3, SIDE // 4, SIDE // 4), (SIDE, SIDE), mode="bicubic", align_corners=False)[0]
    inside = torch.zeros(1, SIDE, SIDE)
    inside[:, : SIDE // 2, : SIDE // 2] = 1
    return 0.4 * x * inside


def turning() -> Tensor:
    """[1 f 3 h w]: the picture's quarter goes to the right by a tenth of a pixel a frame."""
    frames = []
    for number in range(FRAMES):
        move = torch.tensor([[[1, 0, -0.1 * number * 2 / SIDE], [0, 1, 0]]])
        grid = F.affine_grid(move, [1, 3, SIDE, SIDE], align_corners=False)
        frames.append(F.grid_sample(picture()[None], grid, mode="bicubic", align_corners=False)[0])
    return torch.stack(frames)[None]


def test_slow_movement_without_noise_is_kept(skip: TemporalSkip) -> None:
    given = turning()
    made = skip.align(given)
    moved, kept = (x.diff(dim=1).abs().mean() for x in (given, made))
    assert kept > 0.95 * moved
    assert (made - given).abs().max() < 0.02


def test_still_pictures_lose_their_noise(skip: TemporalSkip) -> None:
    torch.manual_seed(2)
    clean = picture()[None, None].expand(1, FRAMES, -1, -1, -1)
    given = clean + 0.05 * torch.randn(clean.shape)
    made = skip.align(given)
    assert (made - clean).square().mean() < 0.5 * (given - clean).square().mean()


def test_every_window_has_its_own_noise(skip: TemporalSkip) -> None:
    torch.manual_seed(3)
    quiet = turning()
    loud = quiet + 0.1 * torch.randn(quiet.shape)
    both = skip.align(torch.cat([quiet, loud]))
    torch.testing.assert_close(both[:1], skip.align(quiet), atol=1e-5, rtol=0)
    torch.testing.assert_close(both[1:], skip.align(loud), atol=1e-5, rtol=0)


def test_noise_is_that_of_what_stands_still() -> None:
    keys = torch.zeros(100, FRAMES, 4)
    keys[:70] += torch.arange(FRAMES)[:, None] * 3.0  # most cells move
    keys[:, ::2] += 0.1
    assert noise(keys, 1).item() == pytest.approx(4 * 0.01, rel=1e-4)
    assert noise(keys[:, :1], 1).tolist() == [0]
