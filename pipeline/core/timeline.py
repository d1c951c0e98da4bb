"""Frames, samples, clips, GOPs and AAC packets, in integers and exact rationals.

A GOP of 48 frames is 3 clips, 4 window strides, 92,160 samples at 48 kHz and exactly 90 AAC packets, so a GOP
border is a border of everything.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from math import ceil, floor

FPS = 25
CLIP = 16  # frames of one diffusion sampling
GOP = 48  # frames of one commit, everywhere
CLIPS_PER_GOP = GOP // CLIP
SOUND_RATE = 48_000  # of the sound track
SPEECH_RATE = 16_000  # of what the audio encoder hears
SOUND_PER_FRAME = SOUND_RATE // FPS  # 1920
SPEECH_PER_FRAME = SPEECH_RATE // FPS  # 640
AAC_PACKET = 1024  # samples
PACKETS_PER_GOP = GOP * SOUND_PER_FRAME // AAC_PACKET  # 90
VIDEO_TIMESCALE = FPS * 512  # a multiple of the frame rate, so that joined fragments have exact times
GOP_TICKS = GOP * 512  # decode time of GOP g is g * GOP_TICKS


def seconds_of(files: Iterable[tuple[int, int]]) -> Fraction:
    """Length of files of (samples, rate), joined, in exact seconds."""
    return sum((Fraction(samples, rate) for samples, rate in files), Fraction(0))


def frames_of(files: Iterable[tuple[int, int]]) -> int:
    """N = ceil(25 · Σ sᵢ/rᵢ): the frames of a title whose files hold sᵢ samples at rates rᵢ."""
    return ceil(FPS * seconds_of(files))


def round_half_up(value: Fraction) -> int:
    return floor(value + Fraction(1, 2))


def starts_in_join(files: Iterable[tuple[int, int]], rate: int = SOUND_RATE) -> list[int]:
    """First sample of every file in the join at `rate`, and as last item the end of the join."""
    starts, seconds = [0], Fraction(0)
    for samples, file_rate in files:
        seconds += Fraction(samples, file_rate)
        starts.append(round_half_up(rate * seconds))
    return starts


def clips_of(frames: int) -> int:
    return -(-frames // CLIP)


def gops_of(frames: int) -> int:
    return -(-frames // GOP)


def gop_range(gop: int, frames: int) -> tuple[int, int]:
    """[first, stop) of a GOP in a title of `frames` frames; only the last GOP may be short."""
    first = gop * GOP
    if not 0 <= first < frames:
        raise ValueError(f"GOP {gop} lies outside a title of {frames} frames")
    return first, min(first + GOP, frames)


def gop_clips(gop: int, frames: int) -> range:
    """Clip indices of a GOP; the last clip may reach past the end of the title (padded by silence)."""
    first, stop = gop_range(gop, frames)
    return range(first // CLIP, -(-stop // CLIP))


def clip_of_second(seconds: Fraction) -> int:
    """The clip that contains a moment: a prompt holds from this clip on."""
    return floor(seconds * FPS) // CLIP


def whole_gops(seconds: Fraction, frames: int) -> int:
    """GOPs of a preview of `seconds`: as many whole GOPs as fit, at least one, at most all."""
    return max(1, min(floor(seconds * FPS) // GOP, gops_of(frames)))


def packets_of(frames: int) -> int:
    """AAC packets that carry sound (the priming packet comes in addition)."""
    return -(-frames * SOUND_PER_FRAME // AAC_PACKET)


def gop_packets(gop: int, frames: int) -> range:
    """Indices in the encoded track of the packets of a GOP; packet 0 is the encoder's priming."""
    first, _ = gop_range(gop, frames)
    start = first * SOUND_PER_FRAME // AAC_PACKET
    return range(1 + start, 1 + min(start + PACKETS_PER_GOP, packets_of(frames)))
