"""What the frames carried from clip to clip go through before the next clip sees them.

Parts of them are dropped and noise is added (paper, section 4.1), so that appearance comes from the portrait and only
motion from them. Both work on pixels and on latents; random numbers are arguments.

Shapes: any leading dimensions, m motion frames, c channels, H W sides, p patch size.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def draw_patches(size: tuple[int, int], patch: int, generator: torch.Generator, frames: int | None = None) -> Tensor:
    """Uniform numbers that decide which patches stay: [H/p W/p] for all frames together, or [frames 1 H/p W/p]."""
    height, width = size
    if patch < 1 or height % patch or width % patch:
        raise ValueError(f"patch size {patch} does not divide {height} x {width}: choose one that does")
    shape = (height // patch, width // patch)
    return torch.rand(shape if frames is None else (frames, 1, *shape), generator=generator)


def patch_drop(
    frames: Tensor, uniform: Tensor, rate: float, protect: Tensor | None = None, instead: Tensor | None = None
) -> Tensor:
    """Set a share `rate` of the patches to zero (equations 5 and 6): mid-grey in pixels of -1 … 1.

    `frames` [… c H W]; `uniform` in 0 … 1, [… H/p W/p] and broadcast over the leading dimensions of `frames`:
    without any, all frames lose the same patches, as published. Where `protect` [… H W] is not zero, nothing is
    dropped. `instead` [c H W]: what takes the place of dropped patches, rather than zeros.
    """
    if rate == 0:
        return frames
    keep = uniform > rate
    patch = frames.shape[-1] // uniform.shape[-1]
    keep = keep.repeat_interleave(patch, dim=-2).repeat_interleave(patch, dim=-1)
    if protect is not None:
        keep = keep | protect.bool()
    return frames * keep.to(frames) if instead is None else torch.where(keep, frames, instead)


def latent_protection(protect: Tensor, factor: int) -> Tensor:
    """`protect` [r H W] in pixels -> [r h w] in latents: a latent is protected if any of its pixels is."""
    return F.max_pool2d(protect[:, None].float(), factor)[:, 0]


def add_motion_noise(latents: Tensor, noise: Tensor, sigma: float) -> Tensor:
    """`latents` plus `sigma` times standard normal `noise` of the same shape (equation 7)."""
    return latents + sigma * noise.to(latents) if sigma else latents
