"""Crops of portraits, drawn as a step of training asks for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from models.drawn import portrait_renderer
from models.drawn.identity import Identity, identities
from models.drawn.motion import stills
from models.drawn.portrait_renderer import LABELS, Drawing, draw_at, grid, spread
from models.drawn.pose import Pose
from models.drawn.splits import Split, first_seeds
from models.drawn.truth import face_box

FINE = ("eyes", "brows", "lips", "inner_mouth", "glasses")
"""What the eye looks at: small, and worth more than its area."""


@dataclass(frozen=True)
class People:
    """A pool of identities on the device, and the renderer."""

    pool: Identity
    device: torch.device
    draw: Callable[..., Drawing] = draw_at

    @classmethod
    def of(cls, split: Split, number: int, device: torch.device, *, compiled: bool = False) -> People:
        drawer = partial(draw_at, by=portrait_renderer.compiled) if compiled else draw_at
        return cls(identities(first_seeds(split, number)).to(device), device, drawer)

    def some(self, number: int, generator: Generator) -> Identity:
        """Identities of the pool, drawn at random."""
        places = torch.randint(len(self.pool), (number,), generator=generator)
        return self.pool.rows(places.to(self.device))

    @torch.no_grad()
    def drawn(self, people: Identity, held: Pose, size: int, crop: Tensor | None = None) -> Drawing:
        x, y, pixel = grid(size, len(held), self.device, crop)
        return self.draw(x, y, pixel, spread(people), spread(held))

    @torch.no_grad()
    def crops(self, number: int, side: int, picture: int, generator: Generator, zoom: float = 0.2) -> Drawing:
        """Random people in random poses: squares of `side` pixels of pictures of about `picture` pixels.

        Half of the squares lie around the face, half anywhere; a square may be as large as the picture.
        """
        people, held = self.some(number, generator), stills(number, generator).to(self.device)
        scale = 1 + zoom * (2 * torch.rand(number, 1, generator=generator) - 1)
        half = (side / picture * scale).to(self.device)
        faces = face_box(people, held)
        spread_out = (2 * torch.rand(number, 2, generator=generator) - 1).to(self.device)
        near = (faces[:, :2] + faces[:, 2:]) / 2 + spread_out * (faces[:, 2:] - faces[:, :2]) / 2
        anywhere = spread_out * (1 - half).clamp_min(0)
        chosen = (torch.rand(number, 1, generator=generator) < 0.5).to(self.device)
        middle = torch.where(chosen, near, anywhere)
        return self.drawn(people, held, side, torch.cat([middle - half, middle + half], dim=1))


def importance(labels: Tensor, weight: float) -> Tensor:
    """Parse map [b h w] -> how much every pixel counts [b 1 h w]: `weight` on and around what is FINE, else 1."""
    numbers = torch.tensor([LABELS.index(name) for name in FINE], device=labels.device)
    fine = torch.isin(labels, numbers).float()[:, None]
    return 1 + (weight - 1) * F.max_pool2d(fine, 9, stride=1, padding=4)


def tiled(pictures: list[Tensor]) -> Tensor:
    """Rows of pictures [n 3 h w] -> one sheet [3 H W]."""
    return torch.cat([torch.cat(list(row), dim=2) for row in pictures], dim=1)
