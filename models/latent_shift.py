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

ORDER = 4
POWERS = tuple((i, j) for i in range(ORDER + 1) for j in range(ORDER + 1 - i) if i + j)  # of right and down
SIDE = 5  # latents around that a movement draws on
FARTHEST = 4.0  # latents that anything moves at most
SEARCHED = 2  # latents within which a movement is looked for
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
        steps = torch.arange(-2 * SEARCHED, 2 * SEARCHED + 1, device=portrait.device) / 2
        apart = self._apart(portrait.float(), picture.float(), steps)
        away = torch.stack(torch.meshgrid(steps, steps, indexing="ij")[::-1])  # x, y of every movement
        rest = TOWARDS_REST * away.norm(dim=0)[..., None, None]
        wide = _lowest(_smooth(apart, WIDE) + rest, steps)
        gone = (away[None, ..., None, None] - wide[:, :, None, None]).norm(dim=1)
        near = _smooth(apart, NEAR)
        at_rest = near[:, None, 2 * SEARCHED, 2 * SEARCHED]
        return _settled(_lowest(near + TOWARDS_WIDE * gone, steps) * at_rest / (at_rest + STILL))

    def _apart(self, portrait: Tensor, picture: Tensor, steps: Tensor) -> Tensor:
        """Squared difference of the picture from the portrait moved by all pairs of steps (y, x): [r n n h w]."""
        rows, _, height, width = portrait.shape
        number = len(steps)
        apart = portrait.new_full((rows, number, number, height, width), torch.inf)
        down, right = torch.arange(height, device=portrait.device), torch.arange(width, device=portrait.device)
        for half_y in (0, 1):
            for half_x in (0, 1):
                # Just below half a latent: exactly half would be rounded to the next.
                half = portrait.new_tensor([half_x, half_y]).mul(0.499)[:, None, None].expand(rows, 1, 2, height, width)
                moved = self(portrait, half)[:, 0]
                for y in range(half_y, number, 2):
                    for x in range(half_x, number, 2):
                        rows_y = (down + y // 2 - SEARCHED).clamp(0, height - 1)
                        columns = (right + x // 2 - SEARCHED).clamp(0, width - 1)
                        apart[:, y, x] = (moved[..., rows_y, :][..., columns] - picture).square().mean(1)
        return apart


def _settled(by: Tensor) -> Tensor:
    """Medians of what is around [r 2 h w]: a closed lid is an eye that moved with its face, not skin from elsewhere."""
    sides = by.shape[-2:]
    around = F.pad(by, (MEDIAN // 2,) * 4, mode="replicate").flatten(0, 1)[:, None]
    return F.unfold(around, MEDIAN).median(1).values.view(-1, 2, *sides)


def _smooth(apart: Tensor, width: float) -> Tensor:
    """Gaussian means over the places [r n n h w]."""
    edge = int(3 * width + 0.5)
    bell = torch.exp(-(torch.arange(-edge, edge + 1, device=apart.device) ** 2) / (2 * width**2))
    bell = bell / bell.sum()
    x = apart.flatten(0, 2)[:, None]
    x = F.conv2d(F.pad(x, (edge, edge, 0, 0), mode="replicate"), bell[None, None, None])
    x = F.conv2d(F.pad(x, (0, 0, edge, edge), mode="replicate"), bell[None, None, :, None])
    return x.view_as(apart)


def _lowest(cost: Tensor, steps: Tensor) -> Tensor:
    """Movement of the lowest `cost` [r n n h w], between the steps too: x, y [r 2 h w]."""
    number = len(steps)
    flat = cost.flatten(1, 2)
    best = flat.argmin(1, keepdim=True)
    y, x = best // number, best % number
    lowest = flat.gather(1, best)

    def beside(dy: int, dx: int) -> Tensor:
        return flat.gather(1, (y + dy).clamp(0, number - 1) * number + (x + dx).clamp(0, number - 1))

    def between(before: Tensor, after: Tensor) -> Tensor:
        return (0.5 * (before - after) / (before + after - 2 * lowest).clamp_min(1e-6)).clamp(-0.5, 0.5)

    step = steps[1] - steps[0]
    right = steps[x] + step * between(beside(0, -1), beside(0, 1))
    down = steps[y] + step * between(beside(-1, 0), beside(1, 0))
    return torch.cat([right, down], dim=1)


def bounded(raw: Tensor) -> Tensor:
    """What a network gives -> movement in latents, within `FARTHEST`, as good as itself where it is small."""
    return FARTHEST * torch.tanh(raw.float() / FARTHEST)
