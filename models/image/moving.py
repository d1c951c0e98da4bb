"""Moving the pixels of a picture by a coarse flow, in whole numbers: every device gets the same bits.

A flow has a value for every cell of a grid, in 1/2048 of a cell. It is spread over the pixels by cubic weights in
1/1024; positions are in 1/64 pixel. The picture is read between its pixels and the halves between them, which an
eight-tap filter gives, by bilinear weights: what does not move stays as it is, to the bit.

Sums are carried in float64 where a matrix product makes them, and stay far below 2^53: they are exact.

Shapes: n fields, h w cells, H W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from models.image.taps import Runs, filter_axis, runs_of_taps

CELL = 2048  # steps of a flow a cell
WEIGHT = 1024  # of all taps together
PLACES = 64  # positions a pixel
HALVES = (-1, 4, -11, 40, 40, -11, 4, -1)  # of 64: the pixel half way between the fourth and the fifth
LARGEST_HALVED = 2048  # pixels a side of pictures that are read at halves: 8 bytes each, four times as many
LANE = 21  # bits of one colour in a packed pixel: 8 of its own, 10 of weights


@dataclass(frozen=True)
class Grid:
    """Cells under one edge of a picture: `length` pixels, the first beginning `start` pixels after the first cell,
    `cell` pixels each."""

    start: float
    cell: float
    length: int

    def runs(self, cells: int, device: torch.device) -> Runs:
        """Cubic weights (Catmull and Rom's), whole numbers that sum to WEIGHT for every pixel."""
        middle = (torch.arange(self.length, dtype=torch.float64) + 0.5 + self.start) / self.cell - 0.5
        first = middle.floor()
        t = middle - first
        taps = torch.stack(
            [
                ((2 - t) * t - 1) * t / 2,
                ((3 * t - 5) * t * t + 2) / 2,
                ((4 - 3 * t) * t + 1) * t / 2,
                (t - 1) * t * t / 2,
            ]
        )
        whole = (taps * WEIGHT).round()
        largest = whole.argmax(0, keepdim=True)
        whole.scatter_add_(0, largest, WEIGHT - whole.sum(0, keepdim=True))
        index = (first.long() + torch.arange(-1, 3)[:, None]).clamp(0, cells - 1)
        return runs_of_taps(index, whole, device)


class Spread:
    """Fields of whole numbers [n h w] -> the same over pixels [n H W], int64."""

    def __init__(self, cells: tuple[int, int], rows: Grid, columns: Grid, device: torch.device) -> None:
        self._rows, self._columns = rows.runs(cells[0], device), columns.runs(cells[1], device)

    def __call__(self, field: Tensor) -> Tensor:
        wide = filter_axis(filter_axis(field.double(), -2, self._rows), -1, self._columns)
        return _divided(wide.long(), WEIGHT**2)


class Mover:
    """A picture, uint8 [3 H W], whose pixels can be moved by flows over a grid of cells."""

    def __init__(self, picture: Tensor, cells: tuple[int, int], rows: Grid, columns: Grid) -> None:
        self._spread = Spread(cells, rows, columns, picture.device)
        self._steps = torch.tensor([_steps(columns.cell), _steps(rows.cell)], device=picture.device)[:, None, None]
        self.device = picture.device
        self._size = picture.shape[-2:]
        self._fine = 2 if max(self._size) <= LARGEST_HALVED else 1
        fine = halved(picture) if self._fine == 2 else picture
        red, green, blue = fine.long()
        self._pixels = red | green << LANE | blue << 2 * LANE
        height, width = self._size
        self._row = torch.arange(height, device=picture.device)[:, None] * PLACES
        self._column = torch.arange(width, device=picture.device) * PLACES

    def __call__(self, flow: Tensor) -> Tensor:
        """`flow` [2 h w], right and down: from where every pixel comes -> uint8 [3 H W], its edge beyond it."""
        height, width = self._size
        right, down = (self._spread(flow) * self._steps + 2**15) >> 16
        part, columns = PLACES // self._fine, self._pixels.shape[1]
        x = (right + self._column).clamp(0, (width - 1) * PLACES)
        y = (down + self._row).clamp(0, (height - 1) * PLACES)
        x0, y0, x, y = x // part, y // part, x % part, y % part
        # A pixel beyond the last has no weight; it must be there.
        x1, y1 = (x0 + 1).clamp_max(columns - 1), (y0 + 1).clamp_max(self._pixels.shape[0] - 1) * columns
        y0 = y0 * columns
        flat = self._pixels.flatten()
        upper = flat[y0 + x0] * (part - x) + flat[y0 + x1] * x
        lower = flat[y1 + x0] * (part - x) + flat[y1 + x1] * x
        both = upper * (part - y) + lower * y
        half, bits = part * part // 2, (part * part).bit_length() - 1
        both = both + (half | half << LANE | half << 2 * LANE)
        return torch.stack([both >> lane * LANE + bits & 255 for lane in range(3)]).to(torch.uint8)


def halved(picture: Tensor) -> Tensor:
    """uint8 [3 H W] -> [3 2H-1 2W-1]: every pixel, and what lies half way to the next."""
    for dim in (-1, -2):
        length = picture.shape[dim]
        places = (
            torch.arange(length - 1, device=picture.device)[None] + torch.arange(-3, 5, device=picture.device)[:, None]
        )
        taken = picture.int().index_select(dim, places.clamp(0, length - 1).flatten())
        taps = torch.tensor(HALVES, dtype=torch.int32, device=picture.device)
        taken = taken.unflatten(dim, (len(HALVES), length - 1))
        between = (taken * taps.view(-1, 1, *[1] * (-1 - dim))).sum(dim - 1)
        between = ((between + 32) >> 6).clamp(0, 255).to(torch.uint8)
        size = list(picture.shape)
        size[dim] = 2 * length - 1
        fine = picture.new_empty(size)
        fine.transpose(dim, 0)[::2] = picture.transpose(dim, 0)
        fine.transpose(dim, 0)[1::2] = between.transpose(dim, 0)
        picture = fine
    return picture


def _steps(cell: float) -> int:
    """What a step of a flow is in 1/64 pixel, times 2^16, where a cell has so many pixels."""
    return round(cell * PLACES * 2**16 / CELL)


def _divided(value: Tensor, by: int) -> Tensor:
    """The quotient, rounded half up."""
    return (value + by // 2).div(by, rounding_mode="floor")
