"""`python -m benchmarks.run encode`: seconds of one core that a frame takes in the encoder, by codec and size.

One GOP of a picture that moves a little, at the codec's usual quality. Processor time of all threads together, which
other programs on the machine hardly change.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import click
import numpy as np

from benchmarks.told import tell
from pipeline.core.timeline import FPS, GOP
from pipeline.media.encode import CODECS, Encoding, encode_gop


def moving(size: int, frames: int) -> Iterator[np.ndarray]:
    """yuv420p planes of smooth waves with a little grain, moving by a pixel a frame."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:size, : size + frames]
    waves = 120 + 50 * np.sin(x / 37) * np.cos(y / 53) + 20 * np.sin((x + y) / 11)
    luma = np.clip(waves + rng.normal(0, 2, waves.shape), 16, 235).astype(np.uint8)
    chroma = np.full((size // 2, size), 128, np.uint8)
    for frame in range(frames):
        yield np.concatenate([luma[:, frame : frame + size], chroma])


def measure(codecs: tuple[str, ...], sizes: tuple[int, ...], frames: int) -> dict[str, Any]:
    found = []
    for size in sizes:
        pictures = list(moving(size, frames))
        for codec in codecs:
            started = time.process_time()
            fragment = encode_gop(Encoding(codec, size, size, CODECS[codec].crf), 0, pictures)
            each = (time.process_time() - started) / frames
            rate = len(fragment.data) * 8 * FPS / frames
            found.append({"codec": codec, "size": size, "cpu_seconds_per_frame": each, "bits_per_second": rate})
    return {"frames": frames, "encodings": found}


@click.command()
@click.option("--codec", "codecs", type=click.Choice(list(CODECS)), multiple=True, default=tuple(CODECS))
@click.option("--size", "sizes", type=click.IntRange(64, 4096), multiple=True, default=(1024, 2048), show_default=True)
@click.option("--frames", type=click.IntRange(1, GOP), default=GOP, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(codecs: tuple[str, ...], sizes: tuple[int, ...], frames: int, as_json: bool) -> None:
    """Seconds of one core a frame, by codec and size."""
    found = measure(codecs, sizes, frames)
    table: list[tuple[object, ...]] = [("codec", "size", "s a frame", "Mbit/s")]
    for one in found["encodings"]:
        seconds, rate = f"{one['cpu_seconds_per_frame']:.3f}", f"{one['bits_per_second'] / 1e6:.1f}"
        table.append((one["codec"], one["size"], seconds, rate))
    tell("encode", found, table, as_json)
