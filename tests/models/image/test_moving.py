"""Moving pixels: in whole numbers equal to a plain reference, and nothing moves that is not told to."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from models.image.moving import CELL, HALVES, PLACES, WEIGHT, Grid, Mover, Spread, halved

CELLS = 6


def picture(height: int, width: int, seed: int = 1) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (3, height, width), np.uint8))


def flow(seed: int = 2, most: int = 3000) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(-most, most, (2, CELLS, CELLS)))


def mover(seen: torch.Tensor) -> tuple[Mover, Grid, Grid]:
    rows, columns = (Grid(-1.5, 5.25, seen.shape[1]), Grid(2.0, 4.0, seen.shape[2]))
    return Mover(seen, (CELLS, CELLS), rows, columns), rows, columns


def weights(grid: Grid, pixel: int) -> list[int]:
    """Catmull and Rom's, one pixel's, for every cell."""
    middle = (pixel + 0.5 + grid.start) / grid.cell - 0.5
    first = math.floor(middle)
    t = middle - first
    taps = [
        ((2 - t) * t - 1) * t / 2,
        ((3 * t - 5) * t * t + 2) / 2,
        ((4 - 3 * t) * t + 1) * t / 2,
        (t - 1) * t * t / 2,
    ]
    whole = [round(tap * WEIGHT) for tap in taps]
    whole[whole.index(max(whole))] += WEIGHT - sum(whole)
    found = [0] * CELLS
    for place, weight in zip(range(first - 1, first + 3), whole, strict=True):
        found[min(max(place, 0), CELLS - 1)] += weight
    return found


def plainly(seen: torch.Tensor, by: torch.Tensor, rows: Grid, columns: Grid) -> np.ndarray:
    """As the mover does it, pixel by pixel, in Python's whole numbers."""
    fine, moved = halved(seen).numpy(), np.empty(seen.shape, np.uint8)
    _, height, width = seen.shape
    steps = [round(grid.cell * PLACES * 2**16 / CELL) for grid in (columns, rows)]
    for y in range(height):
        down = weights(rows, y)
        for x in range(width):
            across = weights(columns, x)
            away = []
            for field, step in zip(by.tolist(), steps, strict=True):
                total = sum(down[j] * across[i] * field[j][i] for j in range(CELLS) for i in range(CELLS))
                away.append(((total + WEIGHT**2 // 2) // WEIGHT**2 * step + 2**15) >> 16)
            px = min(max(x * PLACES + away[0], 0), (width - 1) * PLACES)
            py = min(max(y * PLACES + away[1], 0), (height - 1) * PLACES)
            (x0, fx), (y0, fy) = divmod(px, 32), divmod(py, 32)
            x1, y1 = min(x0 + 1, fine.shape[2] - 1), min(y0 + 1, fine.shape[1] - 1)
            for colour in range(3):
                at = fine[colour].astype(int)
                upper = at[y0, x0] * (32 - fx) + at[y0, x1] * fx
                lower = at[y1, x0] * (32 - fx) + at[y1, x1] * fx
                moved[colour, y, x] = (upper * (32 - fy) + lower * fy + 512) >> 10
    return moved


@pytest.mark.parametrize("most", [40, 3000, 8191])
def test_pixels_are_moved_as_plain_whole_numbers_say(most: int) -> None:
    seen, by = picture(14, 12), flow(most=most)
    move, rows, columns = mover(seen)
    assert np.array_equal(move(by).numpy(), plainly(seen, by, rows, columns))


def test_what_does_not_move_stays_to_the_bit() -> None:
    seen = picture(20, 30)
    move, _, _ = mover(seen)
    assert torch.equal(move(torch.zeros(2, CELLS, CELLS, dtype=torch.long)), seen)


def test_a_whole_pixel_is_that_pixel() -> None:
    seen = picture(16, 16)
    move = Mover(seen, (CELLS, CELLS), Grid(0, 4, 16), Grid(0, 4, 16))
    by = torch.zeros(2, CELLS, CELLS, dtype=torch.long)
    by[0] = CELL // 4  # a cell is four pixels
    assert torch.equal(move(by)[:, :, :-1], seen[:, :, 1:])
    assert torch.equal(move(by)[:, :, -1], seen[:, :, -1]), "beyond the edge is the edge"


def test_halves_lie_between_pixels() -> None:
    seen = picture(9, 11)
    fine = halved(seen)
    assert fine.shape == (3, 17, 21)
    assert torch.equal(fine[:, ::2, ::2], seen)
    taps = sum(weight * int(seen[0, 4, 1 + k]) for k, weight in enumerate(HALVES))  # between pixels 4 and 5
    assert int(fine[0, 8, 9]) == min(max((taps + 32) >> 6, 0), 255)
    flat = torch.full((3, 6, 6), 201, dtype=torch.uint8)
    assert (halved(flat) == 201).all()


def test_fields_are_spread_without_change_of_height() -> None:
    spread = Spread((CELLS, CELLS), Grid(-3, 2.7, 17), Grid(1, 9.1, 40), torch.device("cpu"))
    assert (spread(torch.full((2, CELLS, CELLS), -777)) == -777).all()


def test_order_and_company_do_not_matter() -> None:
    seen = picture(40, 36)
    move, _, _ = mover(seen)
    first, second = flow(3), flow(4)
    one = move(first)
    move(second)
    assert torch.equal(move(first), one)
