"""ReferenceNet: the portrait and the motion frames, each turned into one feature for every site of the denoiser.

A *bank* is the input of a site's self-attention. The denoiser reads the portrait's banks as extra keys and values, and
the motion frames' banks as earlier frames of its motion modules.

Shapes: n pictures, r rows, m motion frames, l pixels (h·w), t tokens, c channels; a half is one of the two sides of
classifier-free guidance.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.diffusion.layers import LayerList
from models.diffusion.unet import Site, UNet
from models.families.config import ChainConfig, UNetConfig


class ReferenceNet(UNet):
    """The U-Net without audio, motion and output layers, and without what lies behind its last site."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__(config, conditioned=False)
        while not self.up_blocks[-1].attentions:
            del self.up_blocks[-1]
            self.up_blocks[-1].upsamplers = LayerList()

    def forward(self, latents: Tensor, image_tokens: Tensor) -> dict[str, Tensor]:
        """`latents` [n c h w], `image_tokens` [n t c] -> banks [n l c] by site name, at timestep 0."""
        time = self.time_embedding(torch.zeros(len(latents), device=latents.device))
        banks: dict[str, Tensor] = {}

        def visit(site: Site, x: Tensor) -> Tensor:
            spatial = site.level.attentions[site.index]
            x, banks[site.name] = spatial(x, spatial.context(image_tokens, reference=None))
            return x

        self.walk(self.enter(latents), time, visit)
        return banks


@dataclass(frozen=True)
class Bank:
    """What one site of the denoiser reads."""

    reference: Tensor
    """The portrait [lanes k l c]: k is 1, or 2 where the frames take the two halves' portraits in turn."""
    motion: Tensor
    """The motion frames [r m l c], the unconditional half first if there is one."""


def token_half(half: int, position: int, motion_frames: int, *, interleaved: bool) -> int:
    """Which half's image tokens ReferenceNet pairs with picture `position` (0 the portrait) of `half`.

    `interleaved` is the published pairing: pictures in a row take the unconditional and the conditional tokens in
    turn, although the two halves lie one behind the other.
    """
    return (half * (1 + motion_frames) + position) % 2 if interleaved else half


def reference_banks(
    net: ReferenceNet, portrait: Tensor, motion: Tensor, image_tokens: Tensor, config: ChainConfig
) -> dict[str, Bank]:
    """Banks of every lane.

    `portrait` [lanes c h w]; `motion` [lanes m c h w]; `image_tokens` [halves lanes t c] with the unconditional half
    first, or the conditional one alone; `config` says how the two halves are paired. A portrait that no row reads is
    not made.
    """
    halves, frames = len(image_tokens), motion.shape[1]
    interleaved = config.interleaved_image_tokens and halves == 2
    portraits = range(halves) if config.interleaved_portraits else [halves - 1]
    pictures = [(half, 0) for half in portraits]
    pictures += [(half, 1 + m) for half in range(halves) for m in range(frames)]
    banks = net(
        torch.cat([motion[:, position - 1] if position else portrait for _, position in pictures]),
        torch.cat([image_tokens[token_half(*picture, frames, interleaved=interleaved)] for picture in pictures]),
    )

    def split(bank: Tensor) -> Bank:
        # bfloat16 is what is taken where float16 does not reach: it must not go through it.
        rounded = bank.half().to(bank.dtype) if config.half_banks and bank.dtype != torch.bfloat16 else bank
        by_picture = rounded.unflatten(0, (len(pictures), -1))
        by_half = by_picture[len(portraits) :].unflatten(0, (halves, frames))
        return Bank(
            reference=by_picture[: len(portraits)].transpose(0, 1),
            motion=by_half.transpose(1, 2).flatten(0, 1),
        )

    return {name: split(bank) for name, bank in banks.items()}
