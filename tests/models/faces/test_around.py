"""The square that a chain works on."""

from __future__ import annotations

import numpy as np
import pytest

from models.faces.around import cut_out, square_around
from models.image.masks import Box

FACE = Box(143, 142, 368, 385)


@pytest.mark.parametrize(("x", "y", "scale"), [(0, 0, 1), (0, 24, 1), (-30, -24, 1), (10, 40, 2)])
def test_the_square_follows_the_face(x: int, y: int, scale: int) -> None:
    """A portrait that is moved or enlarged gives the same square around the same face."""
    found = square_around(Box(*((v + by) * scale for v, by in zip(FACE, (x, y, x, y), strict=True))))
    wanted = [(v + by) * scale for v, by in zip(square_around(FACE), (x, y, x, y), strict=True)]
    assert max(abs(a - b) for a, b in zip(found, wanted, strict=True)) <= 2 * scale


def test_beyond_the_picture_its_edge_goes_on() -> None:
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    found = cut_out(image, Box(-1, -2, 3, 2))
    assert found.shape == (4, 4, 3)
    assert (found[0, 0] == image[0, 0]).all()
    assert (found[3, 3] == image[1, 1]).all()
