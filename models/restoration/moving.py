"""Films of the portrait's own pixels: a square around the face is moved, mouth and eyes get what the portrait lacks.

The portrait is brought to the film's size once a title. Of each frame its square is moved by the flow that the chain
committed (`models.image.moving`); in two boxes, the same for a whole title, latents are decoded and restored, and what
they show that the portrait's own latents, moved alike, do not is added to the moved pixels, as far as the frame's share
says. Around the square nothing ever changes.

Shapes: n frames, h w latents of the square, H W pixels of the film; pictures are RGB, uint8 unless they say 0..1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from models.image.film import Film, Window
from models.image.moving import Grid, Mover, Spread
from models.image.yuv import KB, KR

FINE = 16  # steps of a grey level in which content is added
SOFT = 1.5  # latents along a box's edge over which its content fades
SHARES = 255
GREENER = 0.03  # of 0..1
OPEN, SHUT = 0.75, 0.6  # edges of an open eye and of a shut one, over the edges of the portrait's eyes


def plate(portrait: np.ndarray, film: Film) -> Tensor:
    """The portrait, uint8 [h, w, 3], in the film's size: [3 H W]."""
    size = (film.width, film.height)
    left, top, right, bottom = film.shown
    picture = Image.fromarray(portrait).resize(size, Image.Resampling.LANCZOS, box=(left, top, right, bottom))
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()


class Stage:
    """A title's portrait in its film, ready to be moved. `cells`: latents a side of the square."""

    def __init__(self, picture: Tensor, film: Film, cells: int) -> None:
        self.window = at = film.window
        self._square, self._cells = film.square, cells
        inside = picture[:, at.y0 : at.y1, at.x0 : at.x1].contiguous()
        rows = Grid(at.y0 - film.square.y0, film.square.height / cells, at.y1 - at.y0)
        columns = Grid(at.x0 - film.square.x0, film.square.width / cells, at.x1 - at.x0)
        self._mover = Mover(inside, (cells, cells), rows, columns)

    def place(self, box: tuple[int, int, int, int], per_latent: int) -> Place:
        """Where what is known of a box of latents with `per_latent` pixels each, is added."""
        x0, y0, x1, y1 = box
        wide, high = (edge / self._cells for edge in (self._square.width, self._square.height))  # of a latent
        corner = (self._square.x0 + x0 * wide, self._square.y0 + y0 * high)
        part = Window(
            max(self.window.x0, int(corner[0])),
            max(self.window.y0, int(corner[1])),
            min(self.window.x1, int(-(-(corner[0] + (x1 - x0) * wide) // 1))),
            min(self.window.y1, int(-(-(corner[1] + (y1 - y0) * high) // 1))),
        )
        spread = Spread(
            ((y1 - y0) * per_latent, (x1 - x0) * per_latent),
            Grid(part.y0 - corner[1], high / per_latent, max(0, part.y1 - part.y0)),
            Grid(part.x0 - corner[0], wide / per_latent, max(0, part.x1 - part.x0)),
            self._mover.device,
        )
        here = Window(*(edge - low for edge, low in zip(part, (self.window.x0, self.window.y0) * 2, strict=True)))
        return Place(here, spread)

    def frame(self, flow: Tensor, added: list[tuple[Place, Tensor]]) -> Tensor:
        """`flow` [2 h w], and by place what is added, in 1/FINE of a grey level -> the window's picture [3 H W]."""
        picture = self._mover(flow)
        for place, content in added:
            x0, y0, x1, y1 = place.here
            if x0 < x1 and y0 < y1:
                there = picture[:, y0:y1, x0:x1]
                there.copy_(
                    (there.long() * FINE + place.spread(content) + FINE // 2)
                    .div(FINE, rounding_mode="floor")
                    .clamp(0, 255)
                )
        return picture


@dataclass(frozen=True)
class Place:
    here: Window
    spread: Spread


def fading(box: tuple[int, int, int, int], per_latent: int) -> Tensor:
    """Share of a box's content that is shown, by pixel [H W]: nothing at its edge."""

    def ramp(length: int) -> Tensor:
        places = torch.arange(length * per_latent) + 0.5
        return (torch.minimum(places, length * per_latent - places) / (SOFT * per_latent)).clamp(0, 1)

    x0, y0, x1, y1 = box
    return torch.minimum(ramp(y1 - y0)[:, None], ramp(x1 - x0))


def content(shown: Tensor, moved: Tensor, share: Tensor) -> Tensor:
    """What is added: `shown` and `moved` [3 H W] in 0..1, `share` [H W] 0..1 -> whole numbers of 1/FINE grey level.

    Nothing within a mouth or on a lid is bluer, or much greener, than what it hides: of colours only others are added.
    """
    red, green, blue = shown - moved
    grey = KR * red + (1 - KR - KB) * green + KB * blue
    redder, bluer = (red - grey).clamp_min(-GREENER), (blue - grey).clamp_max(0)
    greener = -(KR * redder + KB * bluer) / (1 - KR - KB)
    return (torch.stack([grey + redder, grey + greener, grey + bluer]) * share * (255 * FINE)).round().long()


def closed(shown: Tensor, moved: Tensor) -> Tensor:
    """How far eyes are shut, 0..1: a lid has hardly any edges, an eye has many. Pictures [3 H W] of the eyes."""
    edges, usual = (picture.diff(dim=-1).abs().mean() for picture in (shown, moved))
    return ((OPEN - edges / usual.clamp_min(1e-6)) / (OPEN - SHUT)).clamp(0, 1)


def shares_over(share: Tensor, box: tuple[int, int, int, int], per_latent: int) -> Tensor:
    """A frame's shares [h w], 0 … SHARES, over the pixels of a box [H W], 0..1."""
    x0, y0, x1, y1 = box
    large = F.interpolate(share[None, None].float() / SHARES, scale_factor=per_latent, mode="bilinear")[0, 0]
    return large[y0 * per_latent : y1 * per_latent, x0 * per_latent : x1 * per_latent]
