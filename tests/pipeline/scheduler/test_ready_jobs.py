"""Which jobs of a title could start: runs of GOPs for upscalers, blocks, playlists."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.scheduler.ready_jobs import PLAYLIST_EVERY, chain_jobs, prepare_jobs, publish_jobs, units_of, upscale_jobs
from pipeline.scheduler.title_state import TitleState
from pipeline.scheduler.title_work import TitleWork
from pipeline.scheduler.work import Done, Job, Scanned

GOPS = st.sets(st.integers(0, 29))


def state(
    gops: int = 30,
    segment: int = 10,
    *,
    chained: int = 0,
    streamed: set[int] | None = None,
    blocks: Iterable[int] = (0, 1, 2),
) -> TitleState:
    title = TitleState(TitleWork("a", 0, gops, blocks=3, segment=segment, block_of_gop=(480, 48), reach=2))
    title.load(Scanned("a", True, True, tuple(blocks), chained, tuple(streamed or ()), False))
    return title


def anything(unit: object) -> bool:
    return True


def nothing(unit: object) -> bool:
    return False


def runs(jobs: object) -> list[tuple[int, int]]:
    return [(job.first, job.first + job.count) for job in jobs]  # type: ignore[attr-defined]


@given(st.integers(0, 30), GOPS, GOPS, GOPS, st.integers(1, 12), st.integers(0, 9))
def test_runs_hold_what_is_missing_once_in_order(
    chained: int, streamed: set[int], busy: set[int], alone: set[int], segment: int, most: int
) -> None:
    title = state(segment=segment, chained=chained, streamed={gop for gop in streamed if gop < chained})
    jobs = list(
        upscale_jobs(title, lambda unit: unit[2] not in busy, lambda unit: unit[2] in alone, most + 1)
    )  # fmt: skip
    units = [unit[2] for job in jobs for unit in units_of(job)]
    assert units == [gop for gop in range(chained) if gop not in streamed | busy]
    for job in jobs:
        gops = range(job.first, job.first + job.count)
        assert gops[0] // segment == gops[-1] // segment, "a run stays inside a segment"
        assert job.count == 1 or not alone & set(gops), "who is to be alone is alone"


@pytest.mark.parametrize(
    ("most", "expected"),
    [
        (12, [(0, 6), (6, 12)]),
        (6, [(0, 6), (6, 12)]),
        (4, [(0, 4), (4, 6), (6, 10), (10, 12)]),
        (3, [(0, 3), (3, 6), (6, 9), (9, 12)]),
        (1, [(k, k + 1) for k in range(12)]),
    ],
)
def test_runs_are_no_longer_than_asked_and_stay_inside_segments(most: int, expected: list[tuple[int, int]]) -> None:
    title = state(gops=12, segment=6, chained=12)
    assert runs(upscale_jobs(title, anything, nothing, most)) == expected


def test_who_is_to_be_alone_splits_a_run() -> None:
    title = state(gops=6, segment=6, chained=6)
    assert runs(upscale_jobs(title, anything, lambda unit: unit[2] == 3, 6)) == [(0, 3), (3, 4), (4, 6)]


def test_only_what_can_be_handed_out_is_looked_at() -> None:
    """A chain that is a day ahead must not make every decision slow."""
    title, looked = state(gops=50_000, chained=50_000), []
    next(upscale_jobs(title, lambda unit: not looked.append(unit), nothing, 4))
    assert len(looked) <= 2 * 4


def test_a_chain_offers_its_next_gop_only() -> None:
    title = state(chained=4)
    assert list(chain_jobs(title, anything)) == [Job("a", "chain", 4)]
    assert list(chain_jobs(title, nothing)) == []
    title.conditioning = False
    assert list(chain_jobs(title, anything)) == []
    assert list(chain_jobs(state(chained=30), anything)) == []


@pytest.mark.parametrize(("chained", "missing", "waits"), [(8, 1, False), (9, 1, True), (10, 2, False), (10, 1, True)])
def test_a_chain_waits_for_what_it_hears(chained: int, missing: int, waits: bool) -> None:
    """Blocks of 480 frames: GOP 9 ends with frame 479 and hears two more."""
    title = state(chained=chained, blocks={0, 1, 2} - {missing})
    assert (list(chain_jobs(title, anything)) == []) == waits


def test_preparing_stops_where_a_preview_ends() -> None:
    title = state(gops=5, blocks=())
    assert list(prepare_jobs(title, anything)) == [Job("a", "features", 0)]
    title.sound = title.conditioning = False
    assert [job.kind for job in prepare_jobs(title, anything)] == ["sound", "conditioning"], "features need the sound"


def test_files_and_playlists() -> None:
    title = state(chained=30, streamed=set(range(12)))
    assert list(publish_jobs(title, anything, 0.0)) == [Job("a", "playlist", 0, 12)]
    title.listed, title.listed_at = 12, 0.0
    assert list(publish_jobs(title, anything, 100.0)) == [], "nothing new to list"
    title.commit(Done("a", "upscale", 12))
    assert list(publish_jobs(title, anything, PLAYLIST_EVERY - 0.1)) == [], "too early"
    assert list(publish_jobs(title, anything, PLAYLIST_EVERY)) == [Job("a", "playlist", 0, 13)]
    assert list(publish_jobs(title, nothing, PLAYLIST_EVERY)) == []
    title.sound = False
    assert list(publish_jobs(title, anything, PLAYLIST_EVERY)) == []
    assert list(publish_jobs(state(streamed=set(range(30))), anything, 0.0)) == [Job("a", "finish", 0, 30)]


@given(st.permutations(range(12)))
def test_the_prefix_grows_whatever_the_order(order: list[int]) -> None:
    title, there = state(gops=12, chained=12), set()
    for gop in order:
        title.commit(Done("a", "upscale", gop))
        title.commit(Done("a", "upscale", gop))
        there.add(gop)
        assert title.streamed == next(k for k in range(13) if k not in there)
        assert title.beyond == {one for one in there if one > title.streamed}
        assert all(title.is_committed("upscale", k) == (k in there) for k in range(12))
