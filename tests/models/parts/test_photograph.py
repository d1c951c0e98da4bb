"""From what is heard to frames: a portrait's own pixels, its border still, blinks whole, any resolution."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from models.diffusion.movement import NUMBERS, MovementNet
from models.parts.photograph import Portrait, moved_by, speaking, told
from models.puppet.eye_rig import closed_lids
from models.puppet.teeth import read_teeth
from models.training.denoising import trained_autoencoder
from tests.models.puppet.test_puppet import SIDE, face, picture

VAE = Path(__file__).parents[3] / "models" / "shipped" / "mini" / "vae.safetensors"


def test_a_portrait_speaks() -> None:
    torch.manual_seed(1)
    network, vae = MovementNet().eval(), trained_autoencoder(VAE)
    portrait = Portrait(picture(), face())
    heard = torch.randn(60, 7, 80)
    movement = moved_by(network, vae.encode, portrait, heard, range(10, 50))
    assert movement.flow.shape == (40, 2, 32, 32)
    # A frame is what was heard around it, not which frames are asked for with it.
    alone = moved_by(network, vae.encode, portrait, heard, range(30, 31))
    torch.testing.assert_close(alone.flow[0], movement.flow[20], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(alone.contours[0], movement.contours[20], atol=1e-3, rtol=1e-4)
    frames = list(speaking(portrait, read_teeth()[0], type(movement)(*(field[:3] for field in movement))))
    assert len(frames) == 3
    for frame in frames:
        assert frame.picture.shape == (SIDE, SIDE, 3)
        assert np.array_equal(frame.picture[0], portrait.picture[0])
        assert np.array_equal(frame.picture[:, -1], portrait.picture[:, -1])


def test_a_blink_shuts_the_lids_whatever_the_mean_is() -> None:
    torch.manual_seed(2)
    network, vae = MovementNet().eval(), trained_autoencoder(VAE)
    movement = moved_by(network, vae.encode, Portrait(picture(), face()), torch.zeros(12, 7, 80), range(12))
    blink = torch.full((12,), -1.0)
    blink[4] = 2.0
    said = told(movement._replace(blink=blink))
    apart = [np.linalg.norm(one.lids[:, 1, 4] - one.lids[:, 0, 4], axis=-1).max() for one in said]
    assert apart[5] < 1e-6
    assert apart[0] > 3
    assert said[5].closed == 1.0
    assert said[3].closed == pytest.approx(closed_lids(movement.numbers[3, NUMBERS.index("lids")].numpy(), 0.0))
