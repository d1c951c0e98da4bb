"""The random numbers of a clip: which patches of the motion frames are dropped, the latents' noise, the motion noise.

By default each comes from a generator of its own, keyed by title seed, purpose and clip, so a clip needs nothing of the
clips before it. The published script draws everything from one generator, clip after clip, in half precision.
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor

from models.diffusion.motion_frames import draw_patches
from models.families.noise_keys import noise_key

SEED = 42  # of the published script, at every start
REMEMBERED = 8  # states of the published generator, one for each of the last clips


def keyed_normal(shape: tuple[int, ...], seed: int, purpose: str, clip: int, attempt: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(noise_key(seed, purpose, clip, attempt))
    return torch.randn(shape, generator=generator)


def keyed_patches(size: tuple[int, int], patch: int, seed: int, clip: int, attempt: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(noise_key(seed, "patches", clip, attempt))
    return draw_patches(size, patch, generator)


def draw_clip(
    generator: torch.Generator, size: int, latent: tuple[int, ...], dtype: torch.dtype = torch.float16
) -> tuple[Tensor, Tensor]:
    """One clip's random numbers in the published order: which pixels to drop [size, size], then the latents' noise.

    The script seeds torch's CPU generator once with 42 and draws the noise in the networks' number type.
    """
    return draw_patches((size, size), 1, generator), torch.randn(latent, generator=generator, dtype=dtype)


class PublishedNoise:
    """What the published script's generator, seeded with 42 at every start, gives for any clip.

    A clip that does not follow one of the last is reached by drawing what lies before it.
    """

    def __init__(self, size: int, latent_channels: int, factor: int, frames: int = 16) -> None:
        self._size = size
        self._latent = (1, latent_channels, frames, size // factor, size // factor)
        start = torch.Generator().manual_seed(SEED)
        self._states: dict[int, Tensor] = {0: start.get_state()}

    def __call__(self, clip: int) -> tuple[Tensor, Tensor]:
        """-> uniform numbers of the pixels [S, S], noise of the latents [f, c, h, w] in float32."""
        generator = torch.Generator()
        at = max(number for number in self._states if number <= clip)
        generator.set_state(self._states[at])
        for _ in range(at, clip + 1):
            uniform, noise = draw_clip(generator, self._size, self._latent)
        self._remember(clip + 1, generator.get_state())
        return uniform, rearrange(noise.float(), "1 c f h w -> f c h w")

    def _remember(self, clip: int, state: Tensor) -> None:
        self._states[clip] = state
        while len(self._states) > REMEMBERED:
            oldest = next(number for number in self._states if number != 0)
            del self._states[oldest]
