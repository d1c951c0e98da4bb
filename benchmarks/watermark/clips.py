"""Clips for the watermark's benchmark, as yuv420p planes: moving portraits, real and drawn, and hard material."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import torch

from models.drawn.identity import identities
from models.drawn.motion import stills
from models.drawn.portrait_renderer import draw
from models.drawn.splits import first_seeds
from models.families.fake import Upscale
from models.image.yuv import yuv420p
from pipeline.sources.portrait import read_portrait

Clip = Callable[[int], Iterator[np.ndarray]]
"""Number of frames → planes uint8 [height·3/2, width], one frame after the other."""

PHOTOGRAPH = Path(__file__).resolve().parents[1] / "photograph.png"


def planes_of(picture: np.ndarray) -> np.ndarray:
    """float32 [height, width, 3], 0..1 → planes."""
    return yuv420p(torch.from_numpy(np.ascontiguousarray(picture.clip(0, 1))).permute(2, 0, 1)).numpy()


@lru_cache(maxsize=2)
def photograph(size: int) -> np.ndarray:
    picture = read_portrait(PHOTOGRAPH, PHOTOGRAPH.name).astype(np.float32) / 255
    return cv2.resize(picture, (size, size), interpolation=cv2.INTER_CUBIC).clip(0, 1)


@lru_cache(maxsize=4)
def drawn(seed: int, size: int) -> np.ndarray:
    """A procedural portrait."""
    generator = torch.Generator().manual_seed(seed)
    picture = draw(identities([first_seeds("train", seed + 1)[-1]]), stills(1, generator), size).picture
    return np.ascontiguousarray(picture[0].permute(1, 2, 0).numpy())


def speaking(picture: np.ndarray, noise: float = 0.0, sway: float = 1.0, seed: int = 0) -> Clip:
    """A portrait that moves its lower middle, as a mouth does, and sways; `noise` in grey levels, new every frame."""
    size = picture.shape[0]
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32) / size
    mouth = np.exp(-(((rows - 0.5) / 0.12) ** 2) - ((columns - 0.45) / 0.1) ** 2)
    head = np.exp(-(((rows - 0.4) / 0.35) ** 2) - ((columns - 0.45) / 0.3) ** 2)

    def frames(count: int) -> Iterator[np.ndarray]:
        rng = np.random.default_rng(seed)
        for number in range(count):
            second = number / 25
            down = mouth * 0.012 * np.sin(2 * np.pi * 3.1 * second) + head * 0.006 * sway * np.sin(1.7 * second)
            right = head * 0.01 * sway * np.sin(1.1 * second)
            moved = cv2.remap(
                picture, ((columns + right) * size).astype(np.float32), ((rows + down) * size).astype(np.float32),
                cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE,
            )  # fmt: skip
            if noise:
                moved = moved + rng.standard_normal((size, size, 1), np.float32) * noise / 255
            yield planes_of(moved)

    return frames


def still(picture: np.ndarray) -> Clip:
    planes = planes_of(picture)
    return lambda count: (planes.copy() for _ in range(count))


def on_canvas(inner: Clip, height: int, width: int, blur: bool) -> Clip:
    """Square frames in the middle of a wider picture, at the sides a blurred or a black one."""

    def frames(count: int) -> Iterator[np.ndarray]:
        for planes in inner(count):
            size = planes.shape[1]
            whole = np.full((height * 3 // 2, width), 128, np.uint8)
            whole[:height] = 16
            if blur:
                wide = cv2.resize(planes[:size], (width, width))[(width - height) // 2 :][:height]
                whole[:height] = cv2.GaussianBlur(wide, (0, 0), 30)
            left = (width - height) // 2
            whole[:height, left : left + height] = cv2.resize(planes[:size], (height, height))
            yield whole

    return frames


def gradient(size: int, moving: bool) -> Clip:
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32) / size

    def frames(count: int) -> Iterator[np.ndarray]:
        for number in range(count):
            grey = 0.2 + 0.5 * (rows + columns) / 2 + (0.1 * np.sin(3 * columns + number / 25) if moving else 0)
            yield planes_of(np.repeat(grey[..., None], 3, 2))

    return frames


def noise(size: int, deviation: float, new: bool) -> Clip:
    def frames(count: int) -> Iterator[np.ndarray]:
        rng = np.random.default_rng(3)
        for number in range(count):
            if new or not number:
                grey = (0.5 + rng.standard_normal((size, size, 1), np.float32) * deviation / 255).repeat(3, 2)
            yield planes_of(grey)

    return frames


def mosaic(size: int, seed: int = 5) -> Clip:
    """What family `fake` draws."""

    def frames(count: int) -> Iterator[np.ndarray]:
        rng = np.random.default_rng(seed)
        for _ in range(count):
            yield Upscale._enlarged(None, rng.integers(0, 2**62, (8, 8), np.int64).astype(np.uint64), size)  # type: ignore[arg-type]

    return frames


def slide(size: int) -> Clip:
    """Dark text on white, as in a lecture."""
    picture = np.full((size, size, 3), 245, np.uint8)
    for line in range(14):
        place = (size // 16, size * (line + 2) // 17)
        words = "speech of many hours, " * 2
        cv2.putText(picture, words[line : line + 30], place, cv2.FONT_HERSHEY_SIMPLEX, size / 700, (25,) * 3, 2)
    return still(picture.astype(np.float32) / 255)


def twenty() -> dict[str, Callable[[], Clip]]:
    """The clips of the benchmark by name; each is made when it is called for."""
    clips: dict[str, Callable[[], Clip]] = {
        "photograph": lambda: speaking(photograph(1024)),
        "photograph, noisy": lambda: speaking(photograph(1024), noise=4),
        "photograph, still": lambda: still(photograph(1024)),
        "photograph, dark": lambda: speaking(photograph(1024) * 0.3),
        "photograph, 512 px": lambda: speaking(photograph(512)),
        "photograph, 2048 px": lambda: speaking(photograph(2048)),
        "photograph, 1920x1080 blurred": lambda: on_canvas(speaking(photograph(1024)), 1080, 1920, True),
        "photograph, 1920x1080 black": lambda: on_canvas(speaking(photograph(1024)), 1080, 1920, False),
        "gradient": lambda: gradient(1024, False),
        "gradient, moving": lambda: gradient(1024, True),
        "noise, new every frame": lambda: noise(1024, 12, True),
        "noise, still": lambda: noise(1024, 8, False),
        "text on white": lambda: slide(1024),
        "mosaic of family fake": lambda: mosaic(1024),
    }

    def one(seed: int) -> Callable[[], Clip]:
        return lambda: speaking(drawn(seed, 1024), noise=seed % 2, seed=seed)

    return clips | {f"drawn portrait {seed}": one(seed) for seed in range(6)}
