"""What a film shows of a portrait, and where its square lies."""

from __future__ import annotations

import pytest

from models.image.film import Film, shown_part
from models.image.masks import Box


def test_a_film_of_the_portrait_s_shape_shows_all_of_it() -> None:
    film = Film.of((600, 400), Box(100, 50, 300, 250), (800, 1200))
    assert film.shown == Box(0, 0, 400, 600)
    assert film.square == Box(200, 100, 600, 500)
    assert film.window == (200, 100, 600, 500)


@pytest.mark.parametrize(("x0", "left"), [(-40, 0), (100, 100), (390, 200)])
def test_a_square_lies_around_the_face_as_near_as_it_can(x0: int, left: int) -> None:
    assert shown_part((400, 600), Box(x0, 0, x0 + 400, 400), (512, 512)) == Box(left, 0, left + 400, 400)


def test_what_reaches_beyond_the_film_changes_only_within() -> None:
    film = Film.of((500, 500), Box(-30, -45, 570, 555), (1000, 1000))
    assert film.window == (0, 0, 1000, 1000)


def test_windows_are_even_and_hold_the_square() -> None:
    film = Film.of((501, 733), Box(101, 33, 302, 234), (1498, 1024))
    x0, y0, x1, y1 = film.window
    assert [edge % 2 for edge in film.window] == [0, 0, 0, 0]
    assert x0 <= film.square.x0 < x0 + 2
    assert y1 - 2 < film.square.y1 <= y1
    assert y0 <= film.square.y0
    assert film.square.x1 <= x1
