"""Where a film's pixels lie in the portrait: what it shows of it, and the square in it that moves. Without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from models.image.masks import Box


class Window(NamedTuple):
    """Part of a film in whole pixels, all even."""

    x0: int
    y0: int
    x1: int
    y1: int


@dataclass(frozen=True)
class Film:
    """A film of `width` x `height` pixels of a portrait."""

    width: int
    height: int
    shown: Box
    """What it shows of the portrait, in the portrait's pixels."""
    square: Box
    """The square that moves, in the film's pixels; it may reach beyond the film."""

    @classmethod
    def of(cls, portrait: tuple[int, int], square: Box, size: tuple[int, int]) -> Film:
        """`portrait` height and width, `square` in its pixels, `size` width and height of the film."""
        shown = shown_part(portrait, square, size)
        across, down = size[0] / shown.width, size[1] / shown.height
        x0, y0, x1, y1 = square
        placed = Box((x0 - shown.x0) * across, (y0 - shown.y0) * down, (x1 - shown.x0) * across, (y1 - shown.y0) * down)
        return cls(*size, shown, placed)

    @property
    def window(self) -> Window:
        """The pixels that can change."""
        x0, y0, x1, y1 = self.square
        return Window(
            max(0, int(x0 // 2) * 2),
            max(0, int(y0 // 2) * 2),
            min(self.width, -int(-x1 // 2) * 2),
            min(self.height, -int(-y1 // 2) * 2),
        )


def shown_part(portrait: tuple[int, int], square: Box, size: tuple[int, int]) -> Box:
    """The largest part of a portrait (height, width) in the shape of `size` (width, height), as near around the square
    as it can lie."""
    height, width = portrait
    scale = min(width / size[0], height / size[1])
    wide, high = size[0] * scale, size[1] * scale
    x0 = min(max((square.x0 + square.x1 - wide) / 2, 0.0), width - wide)
    y0 = min(max((square.y0 + square.y1 - high) / 2, 0.0), height - high)
    return Box(x0, y0, x0 + wide, y0 + high)
