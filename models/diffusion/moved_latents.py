"""What a chain commits of a frame beside its latents: from where in the portrait everything in it came, and how sure.

Pixels can then be the portrait's own, moved (`models.restoration.moving`), and latents are needed only for what the
portrait does not show: the mouth's inside, closed lids.

    channel  c      backward flow to the right   \\  whole numbers of STEP of a latent: 1/128 pixel of a picture of 512
             c + 1  the same, down               /
             c + 2  share of the latents, 0 … 255: how much of what is shown is theirs

Half precision holds whole numbers to 2048 exactly: a movement of more than a latent is in steps of 2, then 4.

Shapes: f frames, c latent channels, h w latent sides.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

STEP = 2048  # steps a latent
SHARES = 255
ASIDE = 3  # channels beside the latents
STILL, RAMP = 1.5, 2.0  # latents along the border of the square that do not move at all; over which movement begins
LEAST, MOST = 0.15, 0.45  # difference of latents, in the square root of its mean square, that counts nothing and all
AROUND = 3  # latents a side over which it is taken


@dataclass
class Movement:
    """Of one clip, for every lane: filled in by whoever samples it."""

    by: Tensor | None = None
    """From where everything came, in latents to the right and down [lanes f 2 h w]."""
    portrait: Tensor | None = None
    """The portrait's latents, moved by that [lanes f c h w]."""


def recorded(latents: Tensor, by: Tensor, portrait: Tensor) -> Tensor:
    """`latents` and the moved `portrait` [f c h w], `by` [f 2 h w] -> what is committed [f c+3 h w], in half."""
    still = at_rest(*latents.shape[-2:]).to(by)
    flow = (by.float() * still * STEP).round()
    share = (differing(latents, portrait) * still * SHARES).round()
    return torch.cat([latents.float(), flow, share], dim=1).half()


def differing(latents: Tensor, portrait: Tensor) -> Tensor:
    """How far latents are another picture than the moved portrait's [f c h w] -> [f 1 h w], 0 … 1."""
    apart = (latents.float() - portrait.float()).square().mean(1, keepdim=True)
    around = F.avg_pool2d(apart, AROUND, 1, AROUND // 2, count_include_pad=False)
    return ((around.sqrt() - LEAST) / (MOST - LEAST)).clamp(0, 1)


def at_rest(height: int, width: int) -> Tensor:
    """Share of a movement that is left at every place [h w]: none along the border, so that a square fits back."""

    def ramp(side: int) -> Tensor:
        places = torch.arange(side) + 0.5
        return ((torch.minimum(places, side - places) - STILL) / RAMP).clamp(0, 1)

    return torch.minimum(ramp(height)[:, None], ramp(width))
