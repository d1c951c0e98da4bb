"""A film as a list of pieces."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.pieces import Interval, Piece, count_shown, pieces, without


@st.composite
def parted(draw: st.DrawFn) -> tuple[int, list[Interval]]:
    """The length of a film, and stretches of it that do not overlap, in order."""
    borders = sorted(draw(st.sets(st.integers(0, 60), min_size=2, max_size=12)))
    taken = list(zip(borders[::2], borders[1::2], strict=False))
    return borders[-1] + draw(st.integers(0, 10)), taken


def test_the_example() -> None:
    assert pieces([[(0, 20), (30, 60)], [(20, 30)]]) == [Piece(0, 20, 0), Piece(20, 30, 1), Piece(30, 60, 0)]
    assert without((0, 60), [(20, 30)]) == ((0, 20), (30, 60))
    assert count_shown([(0, 20), (30, 60)], 25) == 20
    assert count_shown([(0, 20), (30, 60)], 31) == 21


@given(parted())
def test_every_gop_is_shown_once(film: tuple[int, list[Interval]]) -> None:
    length, taken = film
    whole = without((0, length), taken)
    found = pieces([whole, *([one] for one in taken)])
    assert [gop for one in found for gop in range(one.first, one.stop)] == list(range(length))
    assert count_shown(whole, length) == length - sum(stop - first for first, stop in taken)
    for upto in range(length + 1):
        assert count_shown(whole, upto) == sum(first <= gop < stop for first, stop in whole for gop in range(upto))
