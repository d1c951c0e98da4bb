"""`python -m benchmarks.watermark`: is the watermark invisible, is it read back, is it never found where it is not?

Twenty clips are marked, encoded as a title is, then compressed (H.264 crf 28), halved, cropped by a tenth, and both.
Then clips without a mark are searched, and the cost of a frame is compared with upscaling one. Prints a table.
"""

from __future__ import annotations

import itertools
import json
import platform
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
import torch

from benchmarks.watermark.clips import Clip, drawn, gradient, mosaic, noise, photograph, speaking, twenty
from models.families.protocol import PictureOptions
from models.families.registry import FAMILIES, load_part
from pipeline.core.timeline import GOP
from pipeline.detect import find_mark
from pipeline.media import ffmpeg
from pipeline.media.encode import Encoding, encode_gop
from pipeline.provenance.watermark import Watermark
from pipeline.provenance.watermark_code import payload_of
from pipeline.provenance.watermark_pattern import PUBLIC_KEY
from pipeline.provenance.watermark_read import Seen, read_mark

CROP = "crop=trunc(iw*0.45)*2:trunc(ih*0.45)*2:iw*0.03:ih*0.07"
HALF = "scale=trunc(iw/4)*2:trunc(ih/4)*2"
TREATMENTS = {"crf 28": "null", "50 %": HALF, "crop": CROP, "both": f"{CROP},{HALF}"}


def write_marked(clip: Clip, frames: int, payload: str, path: Path) -> tuple[float, float]:
    """Mark and encode a clip as the upscaler does. (PSNR of luma in dB of the worst frame, ms a frame of marking)."""
    source = clip(frames)
    first = next(source)
    height, width = first.shape[0] * 2 // 3, first.shape[1]
    mark, encoding = Watermark(payload, height, width), Encoding("h264", width, height, 20)
    worst, spent = 0.0, 0.0

    def marked(planes: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        nonlocal worst, spent
        for one in planes:
            own = one.copy()
            started = time.perf_counter()
            mark.mark(own)
            spent += time.perf_counter() - started
            worst = max(worst, float(np.mean((own[:height].astype(np.float32) - one[:height]) ** 2)))
            yield own

    source = itertools.chain([first], source)
    with path.open("wb") as file:
        for start in range(0, frames, GOP):
            part = encode_gop(encoding, start, marked(itertools.islice(source, GOP)))
            file.write(part.data if start else part.init + part.data)
    return 10 * np.log10(255**2 / worst), 1000 * spent / frames


def treat(source: Path, filters: str, target: Path) -> None:
    command = [ffmpeg.binary(), "-v", "error", "-y", "-i", str(source), "-vf", filters, "-c:v", "libx264", "-crf", "28"]
    subprocess.run([*command, "-preset", "medium", "-an", str(target)], check=True)


def unmarked(number: int) -> Clip:
    """One of the clips that carry nothing, different for every number."""
    rng = np.random.default_rng(number)
    match number % 5:
        case 0 | 1:
            return speaking(drawn(number, 384), noise=float(rng.integers(0, 4)), seed=number)
        case 2:
            edge = int(rng.integers(200, 480))
            top, left = rng.integers(0, 512 - edge, 2)
            part = photograph(512)[top : top + edge, left : left + edge]
            return speaking(cv2.resize(part, (512, 512)), noise=float(rng.integers(0, 4)), seed=number)
        case 3:
            return noise(384, float(rng.uniform(2, 30)), bool(number % 2))
        case _:
            return mosaic(256, number) if number % 2 else gradient(384 + 2 * number, True)


def cost_of_upscaling(resolution: int) -> float:
    """Seconds a frame of decoding, restoring and enlarging with family mini on this machine's CPU, one thread."""
    family = FAMILIES["mini"]
    part = load_part(family, "upscale", None, "cpu")
    base = family.base_sizes[0]
    options = PictureOptions(base, resolution, 0.7, "x2")
    edge = base // family.latent_factor
    latents = np.random.default_rng(0).standard_normal((16, family.latent_channels, edge, edge)).astype(np.float16)
    conditioning = {"face_box": np.array([base * 0.3, base * 0.2, base * 0.7, base * 0.7], np.float32)}
    started = time.perf_counter()
    frames: list[object] = []
    for first in range(0, 16, family.decode_group):
        frames += part.decode(latents[first : first + family.decode_group], options)
    for frame in part.restore(frames, range(4, 16), conditioning, options):
        part.planes(frame)
    return (time.perf_counter() - started) / 12


def cost_of_marking(resolution: int) -> float:
    planes = np.random.default_rng(0).integers(16, 236, (resolution * 3 // 2, resolution), np.uint8)
    mark = Watermark(payload_of("cost"), resolution, resolution)
    times = []
    for _ in range(8):
        started = time.perf_counter()
        mark.mark(planes)
        times.append(time.perf_counter() - started)
    return float(np.median(times))


class Kept:
    """What was measured, a JSON object a line, so that a run that was cut off goes on where it was."""

    def __init__(self, path: Path | None):
        self._path = path
        lines = path.read_text().splitlines() if path and path.exists() else []
        self._done = {one["what"]: one["found"] for one in map(json.loads, lines)}

    def measured(self, what: str, measure: Callable[[], Any]) -> Any:
        if what not in self._done:
            self._done[what] = measure()
            if self._path:
                with self._path.open("a") as file:
                    file.write(json.dumps({"what": what, "found": self._done[what]}) + "\n")
        return self._done[what]


def survives(title: str, clip: Clip, frames: int) -> dict[str, Any]:
    """Mark a clip, treat it, read it back: PSNR, cost, and for every treatment a confidence, or what went wrong."""
    payload = payload_of(title)
    with tempfile.TemporaryDirectory() as name:
        source, target = Path(name, "marked.mp4"), Path(name, "treated.mp4")
        psnr, cost_ms = write_marked(clip, frames, payload, source)
        cells = {}
        for treatment, filters in TREATMENTS.items():
            treat(source, filters, target)
            found = find_mark(target, PUBLIC_KEY)
            good = found is not None and found.payload == payload
            cells[treatment] = f"{found.confidence:g}" if found and good else "WRONG" if found else "not read"
    return {"psnr": round(psnr, 2), "ms": round(cost_ms, 1), "cells": cells}


def is_found(number: int) -> bool:
    seen = Seen()
    for planes in unmarked(number)(6):
        seen.add(planes[: planes.shape[0] * 2 // 3])
    return read_mark(seen) is not None


def costs() -> dict[str, float]:
    marking = {str(size): 1000 * cost_of_marking(size) for size in (1024, 2160, 4096)}
    return marking | {"upscaling": 1000 * cost_of_upscaling(1024)}


@click.command()
@click.option("--frames", default=250, show_default=True, help="Frames of a clip; 250 are 10 s.")
@click.option("--unmarked", "without", default=200, show_default=True, help="Clips without a mark.")
@click.option("--only", default="", help="Clips whose name begins so.")
@click.option("--cost/--no-cost", default=True, show_default=True)
@click.option("--keep", type=click.Path(path_type=Path), help="File of what was measured: run again to go on.")
def main(frames: int, without: int, only: str, cost: bool, keep: Path | None) -> None:
    torch.set_num_threads(1)
    kept = Kept(keep)
    print(f"{platform.processor() or platform.machine()}, {frames} frames a clip\n")
    print(f"| clip | PSNR dB (worst frame) | {' | '.join(TREATMENTS)} | ms a frame |")
    print("| --- | --- |" + " --- |" * (len(TREATMENTS) + 1), flush=True)
    clips = {title: make for title, make in twenty().items() if title.startswith(only)}
    read = 0
    for title, make in clips.items():
        found = kept.measured(f"{title}, {frames}", lambda: survives(title, make(), frames))  # noqa: B023 - called here
        cells = found["cells"].values()
        read += sum(cell not in ("WRONG", "not read") for cell in cells)
        print(f"| {title} | {found['psnr']:.1f} | {' | '.join(cells)} | {found['ms']:.1f} |", flush=True)
    print(f"\npayloads read without error: {read} of {len(clips) * len(TREATMENTS)} (numbers are confidences)")
    wrong = [number for number in range(without) if kept.measured(f"unmarked {number}", lambda: is_found(number))]  # noqa: B023
    print(f"marks found in {without} clips without one: {len(wrong)}", flush=True)
    if cost:
        spent = kept.measured("costs", costs)
        for size in ("1024", "2160", "4096"):
            print(f"marking a frame of {size} px: {spent[size]:.1f} ms", flush=True)
        print(
            f"upscaling a frame to 1024 px (mini, CPU, one thread, without encoding): {spent['upscaling']:.0f} ms; "
            f"marking adds {spent['1024'] / spent['upscaling']:.1%}"
        )


if __name__ == "__main__":
    main()
