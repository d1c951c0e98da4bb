"""What a small movement of a picture does to its latents.

An autoencoder's latents do not move like pixels: each stands for a block, and what lies across its borders changes all
of its channels. But what a movement makes of them is nearly linear in the latents around: the kernels here, fitted
once for an autoencoder (`models.training.shift_fit`), explain 96 % of what moving by half a block changes, where
interpolation between latents explains 40 %. A network that says how far everything moved thereby moves a portrait
without drawing it anew, and without blurring what it is unsure of.

Shapes: r rows, f frames, c channels, h w latent sides, k kernels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.image.sending import sent

ORDER = 4
POWERS = tuple((i, j) for i in range(ORDER + 1) for j in range(ORDER + 1 - i) if i + j)  # of right and down
SIDE = 5  # latents around that a movement draws on
FARTHEST = 4.0  # latents that anything moves at most
SEARCHED = (4, 2)  # latents to the right and down within which a movement is looked for: heads turn, and hardly nod
WIDE, NEAR = 2.5, 0.9  # latents around over which two pictures are compared: first, and then within what that found
STILL = 0.002  # squared difference at which half of a movement is believed
MEDIAN = 5  # latents a side
TOWARDS_REST, TOWARDS_WIDE = 0.03, 0.05  # of squared difference, for each latent away from it


class LatentShift(nn.Module):
    """Kernels [k·c c 5 5]: latents moved by (x, y), each at most half a latent, are z + Σ xⁱ·yʲ·(kernel_ij * z)."""

    kernels: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("kernels", torch.zeros(len(POWERS) * channels, channels, SIDE, SIDE))

    def forward(self, latents: Tensor, by: Tensor) -> Tensor:
        """`latents` [r c h w] as they look from `by` [r f 2 h w], in latents to the right and down -> [r f c h w]."""
        latents, by = latents.float(), by.float()
        _, channels, height, width = latents.shape
        edge = SIDE // 2
        spread = F.conv2d(F.pad(latents, (edge,) * 4, mode="replicate"), self.kernels.float())
        terms = torch.cat([latents, spread], dim=1).unflatten(1, (-1, channels)).flatten(3)  # [r k+1 c h·w]
        by = by.clamp(-FARTHEST, FARTHEST)
        whole = by.detach().round()
        x, y = (by - whole).unbind(2)  # [r f h w]
        weights = torch.stack([torch.ones_like(x), *(x**i * y**j for i, j in POWERS)], dim=2).flatten(3)
        down = torch.arange(height, device=by.device)[:, None] + whole[:, :, 1]
        right = torch.arange(width, device=by.device) + whole[:, :, 0]
        place = (down.clamp(0, height - 1) * width + right.clamp(0, width - 1)).long().flatten(2)  # [r f h·w]
        moved = [
            torch.einsum("kcfl,fkl->fcl", own[:, :, there], share)
            for own, there, share in zip(terms, place, weights, strict=True)
        ]
        return torch.stack(moved).unflatten(-1, (height, width))

    def found(self, portrait: Tensor, picture: Tensor) -> Tensor:
        """From where in `portrait` [r c h w] everything in `picture` [r c h w] came: [r 2 h w], in latents.

        The best of all movements in steps of half a latent, then between them where a parabola has its lowest point.
        Wide surroundings say about where a place came from, near ones where exactly; what looks the same stands still.
        """
        right, down = (torch.arange(-2 * far, 2 * far + 1, device=portrait.device) / 2 for far in SEARCHED)
        apart = self._apart(portrait.float(), picture.float())
        away = torch.stack(torch.meshgrid(down, right, indexing="ij")[::-1])  # x, y of every movement
        rest = TOWARDS_REST * away.norm(dim=0)[..., None, None]
        wide = _lowest(_smooth(apart, WIDE) + rest)
        gone = (away[None, ..., None, None] - wide[:, :, None, None]).norm(dim=1)
        near = _smooth(apart, NEAR)
        at_rest = near[:, None, 2 * SEARCHED[1], 2 * SEARCHED[0]]
        return _settled(_lowest(near + TOWARDS_WIDE * gone) * at_rest / (at_rest + STILL))

    def _apart(self, portrait: Tensor, picture: Tensor) -> Tensor:
        """Squared difference of the picture from the portrait moved by all steps of half a latent: [r y x h w]."""
        rows, _, height, width = portrait.shape
        (far_x, far_y), (number_x, number_y) = SEARCHED, (4 * far + 1 for far in SEARCHED)
        apart = portrait.new_full((rows, number_y, number_x, height, width), torch.inf)
        down, right = torch.arange(height, device=portrait.device), torch.arange(width, device=portrait.device)
        for half_y in (0, 1):
            for half_x in (0, 1):
                # Just below half a latent: exactly half would be rounded to the next.
                half = portrait.new_tensor([half_x, half_y]).mul(0.499)[:, None, None].expand(rows, 1, 2, height, width)
                moved = self(portrait, half)[:, 0]
                for y in range(half_y, number_y, 2):
                    for x in range(half_x, number_x, 2):
                        rows_y = (down + y // 2 - far_y).clamp(0, height - 1)
                        columns = (right + x // 2 - far_x).clamp(0, width - 1)
                        apart[:, y, x] = (moved[..., rows_y, :][..., columns] - picture).square().mean(1)
        return apart


def _settled(by: Tensor) -> Tensor:
    """Medians of what is around [r 2 h w]: a closed lid is an eye that moved with its face, not skin from elsewhere."""
    sides = by.shape[-2:]
    around = F.pad(by, (MEDIAN // 2,) * 4, mode="replicate").flatten(0, 1)[:, None]
    return F.unfold(around, MEDIAN).median(1).values.view(-1, 2, *sides)


def _smooth(apart: Tensor, width: float) -> Tensor:
    """Gaussian means over the places [r y x h w]; what lies outside repeats the edge."""
    high, wide = (sent(_bell(side, width), apart.device).to(apart) for side in apart.shape[-2:])
    return high @ apart @ wide.T


def _bell(side: int, width: float) -> Tensor:
    """What every place takes of every other [side side]."""
    edge = int(3 * width + 0.5)
    away = torch.arange(-edge, edge + 1)
    taken = torch.exp(-(away**2) / (2 * width**2))
    there = (torch.arange(side)[:, None] + away).clamp(0, side - 1)
    return torch.zeros(side, side).scatter_add_(1, there, (taken / taken.sum()).expand(side, -1))


def _lowest(cost: Tensor) -> Tensor:
    """Movement in latents of the lowest `cost` [r y x h w], between the steps of half a latent too: x, y [r 2 h w]."""
    high, wide = cost.shape[1:3]
    flat = cost.flatten(1, 2)
    best = flat.argmin(1, keepdim=True)
    y, x = best // wide, best % wide
    lowest = flat.gather(1, best)

    def beside(dy: int, dx: int) -> Tensor:
        return flat.gather(1, (y + dy).clamp(0, high - 1) * wide + (x + dx).clamp(0, wide - 1))

    def between(before: Tensor, after: Tensor) -> Tensor:
        return (0.5 * (before - after) / (before + after - 2 * lowest).clamp_min(1e-6)).clamp(-0.5, 0.5)

    right = (x - wide // 2 + between(beside(0, -1), beside(0, 1))) / 2
    down = (y - high // 2 + between(beside(-1, 0), beside(1, 0))) / 2
    return torch.cat([right, down], dim=1)


def bounded(raw: Tensor) -> Tensor:
    """What a network gives -> movement in latents, within `FARTHEST`, as good as itself where it is small."""
    return FARTHEST * torch.tanh(raw.float() / FARTHEST)
