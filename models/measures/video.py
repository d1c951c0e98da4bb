"""A video file, measured frame by frame: memory for one picture and a few numbers a frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import torch
from numpy.typing import NDArray

from models.drawn.closures import spoken_targets
from models.drawn.mouth import mouth_targets
from models.measures.course import Course
from models.measures.picture import Picture, Regions, Seen, look
from models.speech.spectrum import SAMPLE_RATE, SAMPLES_A_FRAME

SIDE = 256  # pixels of the portrait's square, at which everything is measured
MINUTE = 1500  # frames of sound that are brought to targets at a time


def measure(
    path: Path, regions: Regions, square: tuple[float, float, float], alive: Callable[[int], None] = lambda frame: None
) -> Course:
    """`regions` in pixels of the video's portrait; `square`: that portrait's corner x, y and its side in the video.

    Raises ValueError for a file without pictures or sound.
    """
    x, y, side = square
    inside = regions.scaled(SIDE / side)
    seen: list[Seen] = []
    before: Picture | None = None
    first: Picture | None = None
    for picture in pictures(path, x, y, side):
        first = picture if first is None else first
        seen.append(look(picture, inside, before, first))
        before = picture
        alive(len(seen))
    if not seen:
        raise ValueError(f"{path} holds no pictures")
    return Course(seen, _target(path, len(seen)))


def pictures(path: Path, x: float, y: float, side: float, size: int = SIDE) -> Iterator[Picture]:
    """A square of every frame, `size` pixels wide; what of it lies outside of the video is cut off."""
    with av.open(str(path)) as container:
        if not container.streams.video:
            raise ValueError(f"{path} holds no pictures")
        container.streams.video[0].thread_type = "AUTO"
        for frame in container.decode(video=0):
            scale = size / side
            small = frame.reformat(max(1, round(frame.width * scale)), max(1, round(frame.height * scale)), "rgb24")
            left, top = max(0, round(x * scale)), max(0, round(y * scale))
            yield small.to_ndarray()[top : top + size, left : left + size].astype(np.float32) / np.float32(255)


def _target(path: Path, frames: int) -> NDArray[np.float64]:
    """What the sound asks of the mouth [frames]."""
    target = asked_of(path)[:frames]
    return np.concatenate([target, np.zeros(frames - len(target))])


def asked_of(path: Path, *, lips_meet: bool = False) -> NDArray[np.float64]:
    """What a file's sound asks of a mouth, 0..1, 25 a second: its loudness alone, or also that lips meet at p, b and m.

    Raises ValueError where there is no sound.
    """
    parts: list[NDArray[np.float64]] = []
    held = np.zeros(0, np.float32)
    for block in sound(path):
        held = np.concatenate([held, block])
        while len(held) >= MINUTE * SAMPLES_A_FRAME:
            parts.append(_opening(held[: MINUTE * SAMPLES_A_FRAME], lips_meet))
            held = held[MINUTE * SAMPLES_A_FRAME :]
    rest = -len(held) % SAMPLES_A_FRAME
    held = np.concatenate([held, np.zeros(rest, np.float32)])
    if len(held):
        parts.append(_opening(held, lips_meet))
    return np.concatenate([np.zeros(0), *parts])


def _opening(wave: NDArray[np.float32], lips_meet: bool) -> NDArray[np.float64]:
    return (spoken_targets if lips_meet else mouth_targets)(torch.from_numpy(wave)).opening.double().numpy()


def sound(path: Path) -> Iterator[NDArray[np.float32]]:
    with av.open(str(path)) as container:
        if not container.streams.audio:
            raise ValueError(f"{path} holds no sound, so no mouth can be held against it")
        resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
        for frame in container.decode(audio=0):
            for block in resampler.resample(frame):
                yield block.to_ndarray().reshape(-1).astype(np.float32, copy=False)
        for block in resampler.resample(None):
            yield block.to_ndarray().reshape(-1).astype(np.float32, copy=False)
