"""Integers of time: frames, clips, GOPs, packets, and where files begin in their join."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core import timeline as t

FRAMES = st.integers(1, 3_000_000)
RATES = st.sampled_from([8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000]) | st.integers(1, 200_000)
FILES = st.lists(st.tuples(st.integers(0, 10**10), RATES), min_size=1, max_size=8)


def test_a_gop_is_a_border_of_everything() -> None:
    assert (t.FPS, t.CLIP, t.GOP, t.CLIPS_PER_GOP) == (25, 16, 48, 3)
    assert t.GOP * t.SOUND_PER_FRAME == 92_160 == 90 * 1024
    assert t.PACKETS_PER_GOP == 90
    assert t.GOP_TICKS == 48 * 512
    assert t.VIDEO_TIMESCALE == 25 * 512
    assert (t.SOUND_PER_FRAME, t.SPEECH_PER_FRAME) == (1920, 640)


@pytest.mark.parametrize(
    ("files", "frames"),
    [
        ([(1, 48_000)], 1),  # any sound at all is a frame
        ([(1920, 48_000)], 1),
        ([(1921, 48_000)], 2),
        ([(44_100, 44_100)], 25),
        ([(44_101, 44_100)], 26),
        ([(14_700, 44_100), (16_000, 48_000)], 17),  # 1/3 s twice: 16⅔ frames
        ([(14_700, 44_100)] * 3, 25),  # three thirds are one second, and not a frame more
        ([(48_000 * 36_000, 48_000)], 900_000),  # ten hours
    ],
)
def test_frames_of_known_lengths(files: list[tuple[int, int]], frames: int) -> None:
    assert t.frames_of(files) == frames


@given(FILES)
def test_frames_are_the_exact_ceiling(files: list[tuple[int, int]]) -> None:
    seconds = sum(Fraction(samples, rate) for samples, rate in files)
    frames = t.frames_of(files)
    assert frames == ceil(25 * seconds)
    assert Fraction(frames, 25) >= seconds > Fraction(frames - 1, 25)


@given(FILES, st.randoms())
def test_frames_depend_on_the_sum_alone(files: list[tuple[int, int]], random) -> None:  # type: ignore[no-untyped-def]
    shuffled = random.sample(files, len(files))
    assert t.frames_of(shuffled) == t.frames_of(files)
    assert t.frames_of([*files, (0, 44_100)]) == t.frames_of(files)


@given(FILES)
def test_files_start_within_half_a_sample_of_where_they_belong(files: list[tuple[int, int]]) -> None:
    for rate in (48_000, 16_000):
        starts = t.starts_in_join(files, rate)
        assert len(starts) == len(files) + 1
        assert starts[0] == 0
        assert starts == sorted(starts)
        for number, start in enumerate(starts):
            exact = rate * t.seconds_of(files[:number])
            assert abs(start - exact) <= Fraction(1, 2), "rounding must not add up over files"
        samples_per_frame = rate // 25
        assert starts[-1] <= t.frames_of(files) * samples_per_frame, "the title covers its sound"


def test_starts_of_known_joins() -> None:
    assert t.starts_in_join([(44_100, 44_100), (100, 8_000)]) == [0, 48_000, 48_600]
    assert t.starts_in_join([(1, 44_100)] * 3) == [0, 1, 2, 3]  # 1.09, 2.18, 3.27
    assert t.starts_in_join([(1, 32_000), (1, 32_000)]) == [0, 2, 3]  # 1.5 rounds up, 3.0


@given(st.fractions(-1000, 1000))
def test_halves_round_up(value: Fraction) -> None:
    rounded = t.round_half_up(value)
    assert rounded - Fraction(1, 2) <= value < rounded + Fraction(1, 2)


@given(FRAMES)
def test_gops_and_clips_cover_a_title_once(frames: int) -> None:
    gops, clips = t.gops_of(frames), t.clips_of(frames)
    assert (gops - 1) * 48 < frames <= gops * 48
    assert (clips - 1) * 16 < frames <= clips * 16
    for gop in {0, gops // 2, max(0, gops - 2), gops - 1}:
        first, stop = t.gop_range(gop, frames)
        assert first == 48 * gop
        assert stop - first == 48 or (gop == gops - 1 and 0 < stop - first < 48 and stop == frames)
        mine = t.gop_clips(gop, frames)
        assert mine.start == 3 * gop
        assert mine.stop == min(3 * gop + 3, clips)
        assert mine.start * 16 <= first
        assert stop <= mine.stop * 16


@given(st.integers(1, 5_000))
def test_packets_of_gops_follow_each_other(frames: int) -> None:
    packets = [packet for gop in range(t.gops_of(frames)) for packet in t.gop_packets(gop, frames)]
    assert packets == list(range(1, 1 + t.packets_of(frames))), "packet 0 is the encoder's priming"
    samples = frames * 1920
    assert (t.packets_of(frames) - 1) * 1024 < samples <= t.packets_of(frames) * 1024


@given(FRAMES)
def test_packets_of_a_gop_by_number(frames: int) -> None:
    gops = t.gops_of(frames)
    for gop in {0, gops // 2, gops - 1}:
        packets = t.gop_packets(gop, frames)
        assert packets.start == 1 + 90 * gop
        assert packets.stop == 1 + min(90 * (gop + 1), t.packets_of(frames))
        assert len(packets) > 0


@pytest.mark.parametrize("frames", [1, 48, 49])
def test_a_gop_outside_its_title_is_refused(frames: int) -> None:
    for gop in (-1, t.gops_of(frames)):
        with pytest.raises(ValueError, match=f"GOP {gop} lies outside a title of {frames} frames"):
            t.gop_range(gop, frames)


@given(st.fractions(0, 40_000))
def test_a_prompt_holds_from_the_clip_that_contains_its_moment(seconds: Fraction) -> None:
    clip = t.clip_of_second(seconds)
    assert Fraction(clip * 16, 25) <= seconds < Fraction((clip + 1) * 16, 25)


@given(st.fractions(0, 40_000), FRAMES)
def test_a_preview_is_whole_gops_of_the_title(seconds: Fraction, frames: int) -> None:
    gops = t.whole_gops(seconds, frames)
    assert 1 <= gops <= t.gops_of(frames)
    assert gops == 1 or Fraction(gops * 48, 25) <= seconds or gops == t.gops_of(frames)
    if gops < t.gops_of(frames):
        assert Fraction((gops + 1) * 48, 25) > seconds
