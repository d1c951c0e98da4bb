"""Parts of a family that moves the portrait's own pixels: what is committed, what is shown, what never changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.diffusion.moved_latents import STEP, at_rest, recorded
from models.faces.around import square_around
from models.families.mini import MINI
from models.families.protocol import Arrays, ClipOptions, Hints, Lane, PictureOptions
from models.families.registry import MINI_FAMILY, load_part
from models.image.masks import Box

MOVING = replace(MINI_FAMILY, networks=replace(MINI, picture="moved"))
SIZE, FILM = 128, (192, 128)
OPTIONS = PictureOptions(SIZE, 128, 0.7, "x2", film=FILM)
FACE, LIP = (120, 40, 48, 60), (134, 80, 20, 10)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (200, 300, 3), np.uint8)


@pytest.fixture(scope="module")
def conditioning(portrait: np.ndarray) -> Arrays:
    arrays, _ = load_part(MOVING, "prepare", None, "cpu").conditioning(portrait, SIZE, Hints(FACE, LIP))
    return arrays | {"pixels": portrait}


@pytest.fixture(scope="module")
def latents(conditioning: Arrays) -> np.ndarray:
    chain, options = load_part(MOVING, "chain", None, "cpu"), ClipOptions(1, 1.0, SIZE)
    lane = replace(chain.sample(3, options), conditioning=conditioning)
    ((made, state),) = chain.next_clip([replace(lane, state=chain.start(conditioning, 3, SIZE))])
    assert state["motion"].shape[1] == MINI.vae.latent_channels, "the chain goes on from its latents alone"
    assert isinstance(lane, Lane)
    return made


def test_a_frame_is_committed_with_flow_and_share(latents: np.ndarray) -> None:
    assert latents.shape == (16, MINI.vae.latent_channels + 3, 8, 8)
    assert latents.dtype == np.float16
    beside = latents[:, -3:].astype(np.float64)
    assert (beside == beside.round()).all()
    assert beside[:, 2].min() >= 0
    assert beside[:, 2].max() <= 255
    for edge in (beside[..., 0, :], beside[..., -1, :], beside[..., 0], beside[..., -1]):
        assert (edge == 0).all(), "the square goes back without a seam"


def test_flow_is_in_steps_of_a_latent_and_the_share_says_what_differs() -> None:
    still, by = torch.zeros(1, 4, 16, 16), torch.full((1, 2, 16, 16), 0.25)
    other = still.clone()
    other[..., 8, 8] = 2.0
    found = recorded(other, by, still)[0].float()
    assert float(found[4, 8, 8]) == STEP / 4
    assert float(found[6, 8, 8]) == 255
    assert float(found[6, 3, 3]) == 0
    assert float(at_rest(16, 16)[8, 8]) == 1


def shown(latents: np.ndarray, conditioning: Arrays, options: PictureOptions = OPTIONS) -> list[np.ndarray]:
    part, group = load_part(MOVING, "upscale", None, "cpu"), MOVING.decode_group
    window = [
        frame for k in range(0, 16, group) for frame in part.decode(latents[k : k + group], options, conditioning)
    ]
    return [part.planes(frame) for frame in part.restore(window, range(4, 16), conditioning, options)]


def test_around_the_square_every_frame_is_the_portrait(latents: np.ndarray, conditioning: Arrays) -> None:
    frames = shown(latents, conditioning)
    assert {frame.shape for frame in frames} == {(FILM[1] * 3 // 2, FILM[0])}
    x0, y0, x1, y1 = (edge * FILM[0] / 300 for edge in conditioning["crop_box"])
    outside = np.ones(frames[0][: FILM[1]].shape, bool)
    outside[max(0, int(y0) - 2) : int(y1) + 3, max(0, int(x0) - 2) : int(x1) + 3] = False
    assert outside.any()
    assert all((frame[: FILM[1]][outside] == frames[0][: FILM[1]][outside]).all() for frame in frames)
    assert not all((frame == frames[0]).all() for frame in frames)


def test_what_says_that_nothing_moves_gives_the_portrait(latents: np.ndarray, conditioning: Arrays) -> None:
    still = latents.copy()
    still[:, -3:] = 0
    frames = shown(still, conditioning)
    assert all((frame == frames[0]).all() for frame in frames)
    part = load_part(MOVING, "upscale", None, "cpu")
    assert (frames[0] == part._title_of(conditioning, OPTIONS).planes).all()


def test_frames_depend_on_their_window_alone(latents: np.ndarray, conditioning: Arrays) -> None:
    """One part that has made other titles' frames before, and another frame first, gives the same bits."""
    part, group = load_part(MOVING, "upscale", None, "cpu"), MOVING.decode_group
    other = conditioning | {"pixels": conditioning["pixels"][::-1].copy(), "crop_box": conditioning["crop_box"] - 5}

    def base(given: Arrays) -> list:
        return [one for k in range(0, 16, group) for one in part.decode(latents[k : k + group], OPTIONS, given)]

    list(part.restore(base(other), range(2), other, OPTIONS))
    window = base(conditioning)
    late = [part.planes(one) for one in part.restore(window, range(10, 16), conditioning, OPTIONS)]
    early = [part.planes(one) for one in part.restore(window, range(4, 10), conditioning, OPTIONS)]
    for mine, frame in zip([*early, *late], shown(latents, conditioning), strict=True):
        assert (mine == frame).all()


@pytest.mark.parametrize(("x", "y", "scale"), [(0, 0, 1), (0, 24, 1), (-30, -24, 1), (10, 40, 2)])
def test_the_square_follows_the_face(x: int, y: int, scale: int) -> None:
    """A portrait that is moved or enlarged gives the same square around the same face."""
    face, lip = Box(143, 142, 368, 385), Box(221, 319, 291, 332)
    moved = [Box(*((v + by) * scale for v, by in zip(box, (x, y, x, y), strict=True))) for box in (face, lip)]
    found = square_around(1024, 1024, *moved)
    wanted = [(v + by) * scale for v, by in zip(square_around(512, 512, face, lip), (x, y, x, y), strict=True)]
    assert max(abs(a - b) for a, b in zip(found, wanted, strict=True)) <= scale
