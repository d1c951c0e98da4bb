"""Pixels to latents and back: diffusers' AutoencoderKL, with the published scale.

The model may be held in half precision; pixels and latents are float32 on both sides of it. A small family's pictures
are shrunk in front of it, and pixels folded into channels; and it begins as a cosine transform
(`models.autoencoder.cosines`), which training improves on.

Shapes: n frames, H W pixels, c latent channels, h w latent sides.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.autoencoder.cosines import Cosines
from models.families.config import VaeConfig
from models.image.wider import widened

if TYPE_CHECKING:
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution


class Vae(nn.Module):
    """The autoencoder. `model` holds the tensors, under their published names."""

    def __init__(self, config: VaeConfig) -> None:
        from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL  # seconds, and not every part has one

        super().__init__()
        self.config = config
        levels = len(config.channels)
        picture = 3 * config.unshuffle**2
        self.model = AutoencoderKL(
            in_channels=picture,
            out_channels=picture,
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
            block_out_channels=config.channels,
            layers_per_block=config.layers,
            latent_channels=config.latent_channels,
            norm_num_groups=config.groups,
            mid_block_add_attention=config.middle_attention,
            scaling_factor=config.scale,
        )
        if config.cosines and config.scale != 1:
            raise ValueError(f"scale is {config.scale}: with cosines it must be 1")
        self.cosines = Cosines(config.latent_channels, config.factor // config.shrink) if config.cosines else None

    def start_rough(self) -> None:
        """Begin as the cosine transform alone: for training, before the first step.

        Convolutions get weights that keep a signal's size; torch's own are √3 times smaller, and learn far slower.
        """
        for module in self.model.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.data.mul_(math.sqrt(3))
        for layer in (self.model.encoder.conv_out, self.model.quant_conv, self.model.decoder.conv_out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        nn.init.eye_(self.model.quant_conv.weight[:, :, 0, 0])

    def encode(self, pixels: Tensor) -> Tensor:
        """`pixels` [n 3 H W] in -1 … 1 -> the scaled mean of their latents [n c h w]."""
        latents = self.distribution(pixels).mode().float() * self.config.scale
        return latents if self.cosines is None else latents + self.cosines.split(self._shrunk(pixels))

    def distribution(self, pixels: Tensor) -> DiagonalGaussianDistribution:
        """`pixels` [n 3 H W] -> diffusers' Gaussian over unscaled latents (training samples from it)."""
        folded = F.pixel_unshuffle(self._shrunk(pixels), self.config.unshuffle)
        return self.model.encode(folded.to(self.model.dtype)).latent_dist

    def decode_raw(self, latents: Tensor) -> Tensor:
        """`latents` [n c h w] -> pixels [n 3 H W] around -1 … 1, not clamped."""
        decoded = self.model.decode((latents / self.config.scale).to(self.model.dtype)).sample
        decoded = widened(decoded, torch.float32)
        pixels = F.pixel_shuffle(decoded, self.config.unshuffle)
        if self.cosines is not None:
            pixels = pixels + self.cosines.join(latents)
        if self.config.shrink == 1:
            return pixels
        return F.interpolate(pixels, scale_factor=self.config.shrink, mode="bicubic")

    def _shrunk(self, pixels: Tensor) -> Tensor:
        return pixels if self.config.shrink == 1 else F.avg_pool2d(pixels, self.config.shrink)

    def decode(self, latents: Tensor, *, group: int = 1, first_frame: int = 0) -> Tensor:
        """`latents` [n c h w] of the frames from `first_frame` on -> pixels [n 3 H W] in 0 … 1.

        Frames are decoded in groups that start at multiples of `group`, always full (the nearest frame stands in
        for one that is not there), each frame in its own place: what a frame becomes depends on its number and its
        latents, not on how a caller cut the video.
        """
        last = first_frame + len(latents) - 1
        decoded = []
        for start in range(first_frame - first_frame % group, last + 1, group):
            numbers = torch.arange(start, start + group, device=latents.device).clamp(first_frame, last)
            pixels = self.decode_raw(latents[numbers - first_frame])
            here = pixels[max(first_frame - start, 0) : last + 1 - start]
            decoded.append((here / 2 + 0.5).clamp(0, 1))
        return torch.cat(decoded)


def published_names(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names of a published autoencoder file as today's diffusers has them.

    Older files call the middle attention's projections query, key, value and proj_attn.
    """
    renamed = {".query.": ".to_q.", ".key.": ".to_k.", ".value.": ".to_v.", ".proj_attn.": ".to_out.0."}
    result = {}
    for name, tensor in tensors.items():
        for old, new in renamed.items():
            name = name.replace(old, new) if ".attentions." in name else name
        result[name] = tensor
    return result
