"""The window grid: every frame owned once, sixteen places, nothing to the right of a GOP."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.core.timeline import gop_range, gops_of
from pipeline.core.windows import gop_reads, gop_windows, window

LENGTHS = st.integers(1, 3000)
EDGES = [1, 2, 11, 12, 13, 15, 16, 17, 24, 25, 40, 47, 48, 49, 60, 61, 63, 64, 95, 96, 97, 481, 490, 1015]


def all_windows(frames: int) -> list:
    return [w for gop in range(gops_of(frames)) for w in gop_windows(gop, frames)]


@given(LENGTHS)
@example(1)
@example(49)
@example(97)
def test_every_frame_is_owned_once_by_a_window_that_reads_it(frames: int) -> None:
    owned = []
    for w in all_windows(frames):
        assert len(w.reads) == 16
        assert all(0 <= frame < frames for frame in w.reads)
        taken = [w.reads[place] for place in w.owned_places]
        assert taken == list(range(w.first, w.stop)), "the owned places hold the owned frames, in order"
        owned += taken
    assert owned == list(range(frames))


@given(LENGTHS)
def test_a_window_reads_sixteen_frames_in_a_row(frames: int) -> None:
    for w in all_windows(frames):
        if frames >= 16:
            assert list(w.reads) == list(range(w.reads[0], w.reads[0] + 16))
        else:
            assert list(w.reads) == [min(k, frames - 1) for k in range(16)], "a short title repeats its last frame"


@given(LENGTHS)
def test_a_gop_looks_left_at_most_15_frames_and_never_right(frames: int) -> None:
    for gop in range(gops_of(frames)):
        first, stop = gop_range(gop, frames)
        reads = [frame for w in gop_windows(gop, frames) for frame in w.reads]
        assert max(reads) < stop
        assert first - min(reads) <= 15
        assert gop_reads(gop, frames) == (min(reads), max(reads) + 1)
        if stop - first == 48 and gop > 0:
            assert min(reads) == first - 4, "a whole GOP needs a left halo of 4"


@given(LENGTHS, st.integers(1, 200))
def test_a_longer_title_changes_only_the_last_window(frames: int, more: int) -> None:
    """What was upscaled while the end was not known stays right: windows but the last are the grid's."""
    for w in all_windows(frames)[:-1]:
        if frames >= 16:
            assert window(w.index, frames + more) == w


@pytest.mark.parametrize(
    ("index", "frames", "reads", "owns"),
    [
        (0, 1000, (0, 16), (0, 12)),
        (1, 1000, (8, 24), (12, 24)),
        (4, 1000, (44, 60), (48, 60)),
        (7, 1000, (80, 96), (84, 96)),
        (8, 97, (81, 97), (96, 97)),  # the last window slides 15 to the left
        (4, 49, (33, 49), (48, 49)),
        (3, 40, (24, 40), (36, 40)),
        (1, 16, (0, 16), (12, 16)),
        (1, 17, (1, 17), (12, 17)),
        (1, 24, (8, 24), (12, 24)),
        (40, 490, (474, 490), (480, 490)),
        (84, 1015, (999, 1015), (1008, 1015)),
    ],
)
def test_known_windows(index: int, frames: int, reads: tuple[int, int], owns: tuple[int, int]) -> None:
    w = window(index, frames)
    assert w.reads == tuple(range(*reads))
    assert (w.first, w.stop) == owns


def test_known_short_titles() -> None:
    assert window(0, 1).reads == (0,) * 16
    assert list(window(0, 1).owned_places) == [0]
    assert window(1, 13).reads == (*range(13), 12, 12, 12)
    assert list(window(1, 13).owned_places) == [12]
    assert list(window(0, 13).owned_places) == list(range(12))


@pytest.mark.parametrize("frames", EDGES)
def test_gop_g_is_windows_4g_to_4g_plus_3(frames: int) -> None:
    for gop in range(gops_of(frames)):
        indices = [w.index for w in gop_windows(gop, frames)]
        assert indices == list(range(4 * gop, min(4 * gop + 4, -(-frames // 12))))


@pytest.mark.parametrize(("index", "frames"), [(-1, 10), (1, 12), (5, 49)])
def test_a_window_outside_its_title_is_refused(index: int, frames: int) -> None:
    with pytest.raises(ValueError, match=f"window {index} lies outside a title of {frames} frames"):
        window(index, frames)
