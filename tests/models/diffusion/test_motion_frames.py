"""Patch drop and noise on the frames carried from clip to clip."""

import pytest
import torch

from models.diffusion.motion_frames import add_motion_noise, draw_patches, latent_protection, patch_drop


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_share_of_dropped_patches_is_the_rate() -> None:
    frames = torch.ones(2, 3, 64, 64)
    dropped = patch_drop(frames, draw_patches((64, 64), 1, generator()), rate=0.25)
    assert (dropped == 0).float().mean().item() == pytest.approx(0.25, abs=0.02)
    # One mask for all frames and channels, as published.
    assert torch.equal(dropped, dropped[:1, :1].expand_as(dropped))


def test_protected_pixels_stay() -> None:
    frames = torch.rand(2, 2, 3, 32, 32, generator=generator()) + 1
    protect = torch.zeros(2, 1, 1, 32, 32)
    protect[0, ..., 8:20, 4:30] = 0.01  # anything but zero protects
    dropped = patch_drop(frames, draw_patches((32, 32), 4, generator(1)), 0.9, protect)
    assert torch.equal(dropped[0, :, :, 8:20, 4:30], frames[0, :, :, 8:20, 4:30])
    assert (dropped[1, :, :, 8:20, 4:30] == 0).any()


def test_whole_patches_go() -> None:
    uniform = torch.tensor([[0.1, 0.9], [0.6, 0.4]])
    dropped = patch_drop(torch.ones(1, 1, 6, 6), uniform, rate=0.5)
    want = torch.kron(torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.ones(3, 3))
    assert torch.equal(dropped[0, 0], want)


def test_frames_may_have_patches_of_their_own() -> None:
    frames = torch.ones(2, 3, 16, 16)
    dropped = patch_drop(frames, draw_patches((16, 16), 2, generator(), frames=2), 0.5)
    assert not torch.equal(dropped[0], dropped[1])


def test_a_rate_of_zero_drops_nothing() -> None:
    frames = torch.rand(2, 3, 8, 8, generator=generator())
    assert torch.equal(patch_drop(frames, torch.zeros(8, 8), 0.0), frames)


def test_a_patch_size_that_does_not_divide_is_named() -> None:
    with pytest.raises(ValueError, match="patch size 5 does not divide 32 x 32"):
        draw_patches((32, 32), 5, generator())


def test_a_latent_is_protected_if_one_of_its_pixels_is() -> None:
    protect = torch.zeros(1, 32, 32)
    protect[0, 9, 17] = 1
    want = torch.zeros(1, 4, 4)
    want[0, 1, 2] = 1
    assert torch.equal(latent_protection(protect, 8), want)


def test_noise_is_scaled_and_keeps_the_latents_type() -> None:
    latents, noise = torch.ones(2, 4, 8, 8, dtype=torch.float16), torch.randn(2, 4, 8, 8, generator=generator())
    found = add_motion_noise(latents, noise, 0.5)
    assert found.dtype == torch.float16
    torch.testing.assert_close(found.float(), 1 + 0.5 * noise, atol=2e-3, rtol=2e-3)
    assert torch.equal(add_motion_noise(latents, noise, 0.0), latents)
