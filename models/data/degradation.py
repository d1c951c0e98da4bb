"""What spoils a clip before the restorer sees it: one draw of kinds and strengths a clip, the same for all its frames.

Only what changes from frame to frame in a real clip changes here: the values of noise and flicker, not their strength.
Shapes: n clips, f frames, H x W pixels, values 0..1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

BLOCK = 8  # pixels a side of what is quantised together
REACH = 6  # pixels of the widest blur
LITTLE = 0.4  # of the clips


@dataclass(frozen=True)
class Spoiling:
    """Strengths of n clips, each [n]; 0 leaves a clip as it is."""

    blur: Tensor
    """Standard deviation in pixels."""
    shrink: Tensor
    """How many times smaller it was."""
    noise: Tensor
    """Standard deviation of values, pixel by pixel."""
    speckle: Tensor
    """The same, of patches four pixels wide."""
    flicker: Tensor
    """Standard deviation of a frame's brightness and of each colour's."""
    blocks: Tensor
    """Step that the coefficients of 8 x 8 blocks are rounded to."""
    through: Tensor
    """1: through the autoencoder as well."""
    tremble: Tensor
    """Standard deviation of noise on its latents."""


def draw_spoiling(number: int, generator: Generator) -> Spoiling:
    """What frames of a small chain look like, and worse: every kind in some clips, several at once in most.

    A share of the clips is spoiled as little as a well trained chain does it: soft, trembling a little, no more.
    """
    little = torch.rand(number, generator=generator) < LITTLE

    def some(share: float, low: float, high: float, of_little: float = 0.0) -> Tensor:
        chosen = torch.rand(number, generator=generator) < share
        found = (low + (high - low) * torch.rand(number, generator=generator)) * chosen
        return torch.where(little, of_little * found, found)

    return Spoiling(
        blur=some(0.7, 0.3, 1.8, 0.6),
        shrink=some(0.4, 1.0, 2.5).clamp_min(1),
        noise=some(0.6, 0.005, 0.05),
        speckle=some(0.6, 0.005, 0.05),
        flicker=some(0.5, 0.002, 0.02),
        blocks=some(0.3, 0.02, 0.12),
        through=torch.where(little, 1.0, some(0.7, 1, 1)),
        tremble=some(0.7, 0.02, 0.25, 0.2),
    )


@torch.no_grad()
def spoil(clips: Tensor, how: Spoiling, generator: Generator, autoencoder: Any = None) -> Tensor:
    """clips [n f 3 H W] -> the same, spoiled. `autoencoder`: a `Vae`, or None to leave that out."""
    device = clips.device
    # On its own device, a generator that follows from the step's: noise of whole clips is slow to draw elsewhere.
    local = Generator(device).manual_seed(int(torch.randint(1 << 62, (1,), generator=generator)))
    spoiled = []
    for number, clip in enumerate(clips):
        if autoencoder is not None and how.through[number] > 0:
            clip = _through(clip, float(how.tremble[number]), autoencoder, local)
        clip = _shrunk(_blurred(clip, float(how.blur[number])), float(how.shrink[number]))
        clip = clip + float(how.noise[number]) * _normal(tuple(clip.shape), local)
        clip = clip + float(how.speckle[number]) * _patches(clip, local)
        tint = _normal((len(clip), 1, 1, 1), local) + 0.5 * _normal((len(clip), 3, 1, 1), local)
        clip = _rounded((clip + float(how.flicker[number]) * tint).clamp(0, 1), float(how.blocks[number]))
        spoiled.append(clip.clamp(0, 1))
    return torch.stack(spoiled)


def _normal(shape: tuple[int, ...], generator: Generator) -> Tensor:
    return torch.randn(shape, generator=generator, device=generator.device)


def _through(clip: Tensor, tremble: float, autoencoder: Any, generator: Generator) -> Tensor:
    latents = autoencoder.encode(clip * 2 - 1)
    return autoencoder.decode_raw(latents + tremble * _normal(tuple(latents.shape), generator)) / 2 + 0.5


def _blurred(clip: Tensor, sigma: float) -> Tensor:
    if sigma <= 0:
        return clip
    places = torch.arange(-REACH, REACH + 1, device=clip.device, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (places / sigma).square())
    kernel = (kernel / kernel.sum()).to(clip.dtype)
    planes = clip.flatten(0, 1)[:, None]
    planes = F.conv2d(F.pad(planes, (REACH, REACH, 0, 0), mode="replicate"), kernel.view(1, 1, 1, -1))
    planes = F.conv2d(F.pad(planes, (0, 0, REACH, REACH), mode="replicate"), kernel.view(1, 1, -1, 1))
    return planes[:, 0].unflatten(0, clip.shape[:2])


def _shrunk(clip: Tensor, factor: float) -> Tensor:
    if factor <= 1:
        return clip
    size = tuple(clip.shape[-2:])
    small = tuple(max(1, round(edge / factor)) for edge in size)
    low = F.interpolate(clip, size=small, mode="bilinear", antialias=True, align_corners=False)
    return F.interpolate(low, size=size, mode="bicubic", align_corners=False)


def _patches(clip: Tensor, generator: Generator) -> Tensor:
    """Noise whose neighbours are alike, of unit variance as far as that goes."""
    frames, _, height, width = clip.shape
    coarse = _normal((frames, 3, height // 4 + 1, width // 4 + 1), generator)
    return 1.5 * F.interpolate(coarse, size=(height, width), mode="bilinear", align_corners=False)


def _rounded(clip: Tensor, step: float) -> Tensor:
    """Blocks of 8 x 8 as a coarse JPEG leaves them: high frequencies in larger steps than low ones."""
    height, width = clip.shape[-2:]
    if step <= 0 or height % BLOCK or width % BLOCK:
        return clip
    places = torch.arange(BLOCK, device=clip.device, dtype=torch.float32)
    basis = torch.cos(math.pi / BLOCK * (places[None] + 0.5) * places[:, None]) * math.sqrt(2 / BLOCK)
    basis[0] /= math.sqrt(2)
    grid = clip.unflatten(-2, (-1, BLOCK)).unflatten(-1, (-1, BLOCK)).transpose(-3, -2)
    steps = step * (1 + 0.5 * (places[:, None] + places[None]))
    found = basis @ grid @ basis.T
    back = basis.T @ ((found / steps).round() * steps) @ basis
    return back.transpose(-3, -2).flatten(-2).flatten(-3, -2)
