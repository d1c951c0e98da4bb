"""ReferenceNet: the portrait and the motion frames, each turned into one feature for every site of the denoiser.

A *bank* is the input of a site's self-attention. The denoiser reads the portrait's banks as extra keys and values, and
the motion frames' banks as earlier frames of its motion modules.

Shapes: n pictures, r rows, m motion frames, l pixels (h·w), t tokens, c channels.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.config import UNetConfig
from models.unet import Site, UNet


class ReferenceNet(UNet):
    """The U-Net without audio, motion and output layers."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__(config, conditioned=False)

    def forward(self, latents: Tensor, image_tokens: Tensor) -> dict[str, Tensor]:
        """`latents` [n c h w], `image_tokens` [n t c] -> banks [n l c] by site name, at timestep 0."""
        time = self.time_embedding(torch.zeros(len(latents), device=latents.device))
        banks: dict[str, Tensor] = {}

        def visit(site: Site, x: Tensor) -> Tensor:
            spatial = site.level.attentions[site.index]
            x, banks[site.name] = spatial(x, spatial.context(image_tokens, reference=None))
            return x

        self.walk(self.conv_in(latents), time, visit)
        return banks


@dataclass(frozen=True)
class Bank:
    """What one site of the denoiser reads."""

    reference: Tensor
    """The portrait [lanes l c]."""
    motion: Tensor
    """The motion frames [r m l c], the unconditional half first if there is one."""


def token_half(half: int, position: int, motion_frames: int, *, interleaved: bool) -> int:
    """Which half's image tokens ReferenceNet pairs with picture `position` (0 the portrait) of `half`.

    `interleaved` is the published pairing: pictures in a row take the unconditional and the conditional tokens in
    turn, although the two halves lie one behind the other.
    """
    return (half * (1 + motion_frames) + position) % 2 if interleaved else half


def reference_banks(
    net: ReferenceNet,
    portrait: Tensor,
    motion: Tensor,
    image_tokens: Tensor,
    *,
    interleaved: bool,
    half: bool,
) -> dict[str, Bank]:
    """Banks of every lane.

    `portrait` [lanes c h w]; `motion` [lanes m c h w]; `image_tokens` [halves lanes t c] with the unconditional half
    first, or the conditional one alone; `half` rounds the banks to float16 (and back). The unconditional half's
    portrait is never read, so it is not made.
    """
    halves, lanes, frames = image_tokens.shape[0], motion.shape[0], motion.shape[1]
    paired = interleaved and halves == 2

    def tokens(number: int, position: int) -> Tensor:
        return image_tokens[token_half(number, position, frames, interleaved=paired)]

    last = halves - 1
    rows = [(portrait, tokens(last, 0))]
    rows += [(motion[:, m], tokens(number, 1 + m)) for number in range(halves) for m in range(frames)]
    banks = net(torch.cat([row[0] for row in rows]), torch.cat([row[1] for row in rows]))
    return {name: _bank(bank, lanes, halves, frames, half) for name, bank in banks.items()}


def _bank(bank: Tensor, lanes: int, halves: int, frames: int, half: bool) -> Bank:
    if half:
        bank = bank.half().to(bank.dtype)
    pictures = bank.unflatten(0, (1 + halves * frames, lanes))
    motion = pictures[1:].unflatten(0, (halves, frames)).transpose(1, 2)
    return Bank(reference=pictures[0], motion=motion.flatten(0, 1))
