"""`python -m benchmarks.run upscale`: seconds a frame takes from latents to planes, by resolution.

The family's own upscaling part on one window of moving latents: decoding 16 frames, of which a window owns 12, then
restoring, enlarging and converting these. On a processor with one thread processor time is told, which other programs
hardly change; else the clock's. Weights are by rule where no folder is given: speed does not depend on them.
"""

from __future__ import annotations

import time
from typing import Any

import click
import numpy as np

from benchmarks.told import tell
from models.families import FAMILIES, PictureOptions, load_part
from pipeline.windows import LENGTH, STRIDE

FACE = np.array([150, 90, 360, 350], np.float32)


def measure(family: str, weights: str | None, device: str, resolutions: tuple[int, ...]) -> dict[str, Any]:
    constants = FAMILIES[family]
    part = load_part(constants, "upscale", weights, device)
    clock = time.process_time if device == "cpu" and constants.threads == 1 else time.perf_counter
    base = constants.base_sizes[0]
    rng = np.random.default_rng(3)
    drift = rng.standard_normal((LENGTH, *constants.latent_shape(base))) * 0.05
    latents = (rng.standard_normal((1, *constants.latent_shape(base))) + drift.cumsum(0)).astype(np.float16)
    group, found = constants.decode_group, []
    for resolution in resolutions:
        options = PictureOptions(base, resolution, 0.7, "x2")
        marks: list[float] = []
        for _ in range(2):  # the first pays for choosing kernels
            marks = [clock()]
            frames = [one for k in range(0, LENGTH, group) for one in part.decode(latents[k : k + group], options)]
            marks.append(clock())
            for frame in part.restore(frames, range(LENGTH - STRIDE, LENGTH), {"face_box": FACE}, options):
                part.planes(frame)
            marks.append(clock())
        decode, restore = (marks[1] - marks[0]) / LENGTH, (marks[2] - marks[1]) / STRIDE
        found.append({"resolution": resolution, "decode_seconds": decode, "restore_seconds": restore})
    return {"family": family, "device": device, "clock": clock.__name__, "frames": found}


@click.command()
@click.option("--family", type=click.Choice(["mini", "hallo2"]), default="mini", show_default=True)
@click.option("--weights", type=click.Path(exists=True, file_okay=False), help="The family's folder of weights.")
@click.option("--device", default="cpu", show_default=True)
@click.option("--resolution", type=int, multiple=True, default=(1024, 2048, 4096), show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(family: str, weights: str | None, device: str, resolution: tuple[int, ...], as_json: bool) -> None:
    """Seconds a frame takes from latents to planes, by resolution."""
    found = measure(family, weights, device, resolution)
    table: list[tuple[object, ...]] = [
        (f"family {family}, {found['clock']}", "decode, s a frame", "restore, s a frame")
    ]
    for one in found["frames"]:
        table.append((one["resolution"], f"{one['decode_seconds']:.3f}", f"{one['restore_seconds']:.3f}"))
    tell("upscale", found, table, as_json)
