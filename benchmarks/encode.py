"""`python -m benchmarks.run encode`: what a frame takes in the encoder, by codec, size and effort: seconds and bytes.

One GOP of a photograph that moves a little, or of `--film FILE`, at the effort's usual quality. Seconds are processor
time of all threads together, which other programs on the machine hardly change. Efforts differ in quality at the same
crf, so bytes are compared at the PSNR of luma that `fast` reaches: between two encodings, of which one is four crf
coarser, the logarithm of the bytes is a straight line of the PSNR.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import click
import cv2
import numpy as np
from PIL import Image

from benchmarks.told import tell
from pipeline.core.timeline import FPS, GOP
from pipeline.manifest.options import default_crf
from pipeline.media.encode import CODECS, EFFORTS, Encoding, decode_fragments, encode_gop

PHOTOGRAPH = Path(__file__).parents[1] / "examples/photograph.png"
COARSER = 4  # crf


def moving(size: int, frames: int) -> Iterator[np.ndarray]:
    """yuv420p planes of the example's photograph, which sways and nods as a speaker's head does."""
    picture = cv2.cvtColor(np.asarray(Image.open(PHOTOGRAPH).convert("RGB")), cv2.COLOR_RGB2BGR)
    side = min(picture.shape[:2])
    picture = cv2.resize(picture[:side, :side], (size, size), interpolation=cv2.INTER_AREA)
    for k in range(frames):
        scale, turn = 1 + 0.01 * np.sin(k / 7), 0.004 * np.sin(k / 5)
        right, down = size * 0.01 * np.sin(k / 9), size * 0.006 * np.sin(k / 6)
        moved = cv2.warpAffine(
            picture,
            np.array([[scale, turn, right], [-turn, scale, down]], np.float32),
            (size, size),
            flags=cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REPLICATE,
        )
        yield cv2.cvtColor(moved, cv2.COLOR_BGR2YUV_I420)


def filmed(file: Path, size: int, frames: int) -> Iterator[np.ndarray]:
    """The first frames of a film, brought to that height and width."""
    with av.open(str(file)) as container:
        for frame in itertools.islice(container.decode(video=0), frames):
            yield frame.reformat(width=size, height=size, interpolation="LANCZOS").to_ndarray(format="yuv420p")


def encoded(encoding: Encoding, pictures: list[np.ndarray]) -> tuple[int, float, float]:
    """(bytes, PSNR of luma in dB, seconds of one core) of pictures together."""
    started = time.process_time()
    fragment = encode_gop(encoding, 0, pictures)
    taken = time.process_time() - started
    decoded = decode_fragments(fragment.init, [fragment.data])
    luma = slice(None, encoding.height)
    errors = [
        float(np.square(one[luma].astype(np.float32) - other[luma]).mean())
        for one, other in zip(pictures, decoded, strict=True)
    ]
    return len(fragment.data), 10 * math.log10(255**2 / (sum(errors) / len(errors) + 1e-9)), taken


def at_quality(fine: tuple[int, float, float], coarse: tuple[int, float, float], psnr: float) -> float:
    """Bytes at that PSNR, on the line through two encodings; of the first where they hardly differ."""
    if abs(fine[1] - coarse[1]) < 0.01:
        return fine[0]
    slope = (math.log(fine[0]) - math.log(coarse[0])) / (fine[1] - coarse[1])
    return math.exp(math.log(fine[0]) + slope * (psnr - fine[1]))


def measure(
    codecs: tuple[str, ...], sizes: tuple[int, ...], efforts: tuple[str, ...], frames: int, film: Path | None = None
) -> dict[str, Any]:
    found: list[dict[str, Any]] = []
    for size, codec in itertools.product(sizes, codecs):
        pictures = list(filmed(film, size, frames) if film else moving(size, frames))
        usual: tuple[int, float, float] | None = None
        for effort in dict.fromkeys((EFFORTS[0], *efforts)):
            crf = default_crf(codec, effort)
            fine, coarse = (
                encoded(Encoding(codec, size, size, one, effort), pictures)
                for one in (crf, min(crf + COARSER, CODECS[codec].worst_crf))
            )
            usual = usual or fine
            found.append(
                {
                    "codec": codec,
                    "size": size,
                    "effort": effort,
                    "crf": crf,
                    "cpu_seconds_per_frame": fine[2] / len(pictures),
                    "bits_per_second": fine[0] * 8 * FPS / len(pictures),
                    "psnr_db": fine[1],
                    "seconds_ratio": fine[2] / usual[2],
                    "bytes_ratio": fine[0] / usual[0],
                    "bytes_ratio_at_same_psnr": at_quality(fine, coarse, usual[1]) / usual[0],
                }
            )
    return {"frames": frames, "film": film and film.name, "encodings": found}


@click.command()
@click.option("--codec", "codecs", type=click.Choice(list(CODECS)), multiple=True, default=tuple(CODECS))
@click.option("--size", "sizes", type=click.IntRange(64, 4096), multiple=True, default=(1024, 2048), show_default=True)
@click.option("--effort", "efforts", type=click.Choice(EFFORTS), multiple=True, default=EFFORTS, show_default=True)
@click.option("--frames", type=click.IntRange(1, GOP), default=GOP, show_default=True)
@click.option("--film", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Pictures to encode.")
@click.option("--json", "as_json", is_flag=True)
def main(as_json: bool, **options: Any) -> None:
    """Seconds of one core a frame, and bytes, by codec, size and effort."""
    found = measure(**options)
    heads = ("codec", "size", "effort", "crf", "s a frame", "Mbit/s", "PSNR dB", "seconds", "bytes", "at fast's PSNR")
    table: list[tuple[object, ...]] = [heads]
    for one in found["encodings"]:
        ratios = [one[name] for name in ("seconds_ratio", "bytes_ratio", "bytes_ratio_at_same_psnr")]
        seconds, rate = f"{one['cpu_seconds_per_frame']:.3f}", f"{one['bits_per_second'] / 1e6:.2f}"
        names = [one[name] for name in heads[:4]]
        table.append((*names, seconds, rate, f"{one['psnr_db']:.2f}", *(f"{ratio:.2f}" for ratio in ratios)))
    tell("encode", found, table, as_json)
