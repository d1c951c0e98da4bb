"""Where scenes begin: at quiet borders of GOPs near where they are wanted, none of them too short."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.timeline import FPS, GOP, gops_of
from pipeline.media.sound_in.facts import AudioFacts
from pipeline.media.sound_in.padding import in_padded, lengths, padded
from pipeline.sources.captions import Cue
from pipeline.titles.scene_borders import AROUND, LEAST, MOST, SHORTEST, around, at_chapters, every, frame_energies
from pipeline.titles.scenes import cues_within, prompts_within


def loud(frames: int, *quiet: int) -> np.ndarray:
    """Energies that are high everywhere but around some frames."""
    energies = np.full(frames, 1000, np.int64)
    for frame in quiet:
        energies[max(0, frame - AROUND) : frame + AROUND] = 0
    return energies


def test_energies_are_sums_of_squares() -> None:
    block = np.full(1280, -3, np.int16)
    assert frame_energies([block, block[:640]]).tolist() == [5760] * 3


def test_the_quietest_place_of_all_that_would_do() -> None:
    frames = 20 * 60 * FPS
    quiet = 200 * GOP  # at 6.4 minutes
    assert every(loud(frames, quiet), 10)[1] == 200
    assert every(loud(frames), 10)[1] == round(10 * 60 * FPS / GOP)  # nowhere quieter: where it is wanted
    assert every(loud(12 * 60 * FPS), 10) == [0]


def test_chapters_begin_scenes_near_them() -> None:
    frames, start = 200 * GOP, 100 * GOP + 20
    assert at_chapters(loud(frames), [0, start]) == [0, 100]
    assert at_chapters(loud(frames, 102 * GOP), [0, start]) == [0, 102]
    assert at_chapters(loud(frames, 102 * GOP), [0, 100 * GOP]) == [0, 100], "a chapter at a border begins there"
    assert at_chapters(loud(frames, 104 * GOP), [0, start]) == [0, 100], "too far away"


def test_short_scenes_are_joined_to_a_neighbour() -> None:
    frames = 100 * GOP
    assert at_chapters(loud(frames), [0, 5 * GOP, 40 * GOP]) == [0, 40]
    assert at_chapters(loud(frames), [0, 40 * GOP, 95 * GOP]) == [0, 40]
    assert at_chapters(loud(10 * GOP), [0, 5 * GOP]) == [0]


@given(st.integers(1, 60_000), st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_scenes_of_minutes_are_as_long_as_is_said(frames: int, minutes: int, seed: int) -> None:
    energies = np.random.default_rng(seed).integers(0, 50, frames)
    firsts = every(energies, minutes)
    ends = [*[first * GOP for first in firsts[1:]], frames]
    sizes = [end - first * GOP for first, end in zip(firsts, ends, strict=True)]
    assert firsts[0] == 0
    assert max(sizes) <= minutes * 60 * FPS * MOST + GOP
    assert all(size >= minutes * 60 * FPS * LEAST - GOP for size in sizes[:-1])
    assert len(sizes) == 1 or sizes[-1] >= SHORTEST


@given(st.integers(1, 20_000), st.lists(st.integers(0, 20_000), max_size=8), st.integers(0, 2**32 - 1))
def test_scenes_of_chapters_follow_each_other(frames: int, starts: list[int], seed: int) -> None:
    energies = np.random.default_rng(seed).integers(0, 50, frames)
    firsts = at_chapters(energies, [start for start in starts if start < frames])
    assert firsts == sorted(set(firsts))
    assert firsts[0] == 0
    assert all(first < gops_of(frames) for first in firsts)
    assert all((b - a) * GOP >= SHORTEST for a, b in pairwise(firsts))


SOUNDS = st.lists(
    st.tuples(st.integers(1, 10**7), st.sampled_from([8000, 22050, 44100, 48000])), min_size=1, max_size=5
)


@given(SOUNDS)
def test_padded_files_begin_at_borders_of_gops(sounds: list[tuple[int, int]]) -> None:
    facts = padded([AudioFacts(samples, rate, 1) for samples, rate in sounds])
    end = Fraction(0)
    for fact, (samples, rate), pad in zip(facts, sounds, lengths(facts)[1::2], strict=True):
        assert end % Fraction(GOP, FPS) == 0
        assert Fraction(*pad) < Fraction(GOP, FPS)
        assert in_padded(sum((Fraction(*one) for one in sounds[: facts.index(fact)]), Fraction(0)), facts) <= end
        end += Fraction(samples, rate) + Fraction(*pad)


def test_moments_move_with_their_file() -> None:
    facts = padded([AudioFacts(8000, 8000, 1), AudioFacts(16_000, 8000, 1), AudioFacts(8000, 8000, 1)])
    assert [in_padded(Fraction(at, 2), facts) for at in range(8)] == [
        Fraction(one) / 100 for one in (0, 50, 192, 242, 292, 342, 576, 626)
    ]


def test_prompts_and_captions_count_from_the_scene() -> None:
    prompts = ((0, "a"), (10, "b"), (20, "c"))
    assert prompts_within(prompts, 0, 15) == ((0, "a"), (10, "b"))
    assert prompts_within(prompts, 12, 10) == ((0, "b"), (8, "c"))
    assert prompts_within(prompts, 20, 5) == ((0, "c"),)
    assert prompts_within(((10, "b"),), 0, 5) == ()
    cues = (Cue(0, 1000, "one"), Cue(1500, 2500, "two"), Cue(3000, 9000, "three"))
    assert cues_within(cues, 48, 48) == (Cue(0, 580, "two"), Cue(1080, 1920, "three"))


@pytest.mark.parametrize("frames", [1, 47, 48, 49])
def test_a_title_of_a_moment_is_one_scene(frames: int) -> None:
    assert every(loud(frames), 1) == at_chapters(loud(frames), [0]) == [0]


@given(st.data())
def test_a_retake_holds_what_was_asked_for(data: st.DataObject) -> None:
    frames = data.draw(st.integers(1, 40 * GOP))
    energies = np.array(data.draw(st.lists(st.integers(0, 9), min_size=frames, max_size=frames)), np.int64)
    moments = sorted(data.draw(st.sets(st.integers(0, frames), min_size=2, max_size=8)))
    stretches = list(zip(moments[::2], moments[1::2], strict=False))
    end = 0
    for (start, stop), (first, last) in zip(stretches, around(energies, stretches), strict=True):
        assert end <= first < last <= gops_of(frames) or first == last == gops_of(frames)
        assert first * GOP <= start or first == end
        assert last * GOP >= min(stop, frames)
        end = last


def test_a_retake_begins_and_ends_where_it_is_quiet() -> None:
    energies = np.full(20 * GOP, 9, np.int64)
    for gop in (5, 12):
        energies[gop * GOP - AROUND : gop * GOP + AROUND] = 1
    assert around(energies, [(7 * GOP + 3, 10 * GOP + 7)]) == [(5, 12)]
    assert around(energies, [(8 * GOP + 3, 9 * GOP)]) == [(8, 9)]
    energies[7 * GOP - AROUND : 7 * GOP + AROUND] = 0  # quieter, but farther than the pause before
    assert around(energies * 1000, [(7 * GOP + 3, 10 * GOP + 7)]) == [(7, 12)]
