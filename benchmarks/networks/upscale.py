"""`python -m benchmarks.run upscale`: seconds a frame takes from latents to planes, whole and on a plate.

The family's own upscaling part on one window of moving latents: decoding 16 frames, of which a window owns 12, then
restoring, enlarging and converting these; once more with `plate: on`, and how far that is from the whole path. On a
processor with one thread processor time is told, which other programs hardly change; else the clock's. Weights are by
rule where no folder is given: speed does not depend on them. What the plate costs in quality does depend on them, and
on how little the background moves: `--title` names a rendered title's folder, whose first GOP is then taken.

`--count` counts the arithmetic of the published networks instead, which takes no device: what a figure of an
accelerator is held against.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from benchmarks.networks.upscale_flops import flop_a_second
from benchmarks.told import tell
from models.families.protocol import Arrays, PictureOptions
from models.families.registry import FAMILIES, load_part
from pipeline.core.windows import LENGTH, STRIDE
from pipeline.store.arrays import unpack

FACE = np.array([150, 90, 360, 350], np.float32)


def made_up(family: str) -> tuple[np.ndarray, Arrays]:
    """Latents of one window and the conditioning that goes with them: no picture of anything."""
    constants, rng = FAMILIES[family], np.random.default_rng(3)
    shape = constants.latent_shape(constants.base_sizes[0])
    drift = rng.standard_normal((LENGTH, *shape)) * 0.05
    latents = (rng.standard_normal((1, *shape)) + drift.cumsum(0)).astype(np.float16)
    return latents, {"face_box": FACE, "reference": latents[0].astype(np.float32)}


def rendered(title: Path) -> tuple[np.ndarray, Arrays]:
    """The same of a rendered title: the folder of its output."""
    latents = _arrays(next(title.glob("chain/*/chain")), "latents")["latents"]
    return latents[:LENGTH], _arrays(next(title.glob("chain/*/conditioning")), "arrays")


def _arrays(ledger: Path, name: str) -> Arrays:
    found = min(ledger.glob(f"objects/*{name}*"))
    return unpack(found.read_bytes(), str(found))


def measure(
    family: str, weights: str | None, device: str, resolutions: tuple[int, ...], title: Path | None = None
) -> dict[str, Any]:
    constants = FAMILIES[family]
    part = load_part(constants, "upscale", weights, device)
    clock = time.process_time if device == "cpu" and constants.threads == 1 else time.perf_counter
    base = constants.base_sizes[0]
    latents, conditioning = made_up(family) if title is None else rendered(title)
    group, found = constants.decode_group, []
    for resolution in resolutions:
        took: dict[str, float] = {}
        pictures: dict[str, torch.Tensor] = {}
        still = False
        for plate in ("off", "on") * 2:  # the first of each pays for choosing kernels, and for the plate
            options = PictureOptions(base, resolution, 0.7, "x2", plate=plate)
            part.fit(options, None)
            marks = [clock()]
            frames = [one for k in range(0, LENGTH, group) for one in part.decode(latents[k : k + group], options)]
            marks.append(clock())
            shown = []
            for frame in part.restore(frames, range(LENGTH - STRIDE, LENGTH), conditioning, options):
                shown.append(torch.from_numpy(part.planes(frame)[:resolution]))
            marks.append(clock())
            took |= {"decode": (marks[1] - marks[0]) / LENGTH, plate: (marks[2] - marks[1]) / STRIDE}
            pictures[plate] = torch.stack(shown)
            still = plate == "on" and part.still(frames, conditioning, options)
        error = float((pictures["on"].float() - pictures["off"]).square().mean())
        found.append(
            {
                "resolution": resolution,
                "decode_seconds": took["decode"],
                "restore_seconds": took["off"],
                "restore_on_plate_seconds": took["on"],
                "plate_luma_psnr": float(10 * np.log10(255**2 / error)) if error else None,
                "stands_still": still,
            }
        )
    return {"family": family, "device": device, "clock": clock.__name__, "frames": found}


def _counts(flop: dict[int, dict[str, float]]) -> list[tuple[object, ...]]:
    table: list[tuple[object, ...]] = [
        ("TFLOP a second of video", "published", "ours, same passes", "less by", "ours, as it is")
    ]
    for size, each in flop.items():
        published, same, ours = each.values()
        table.append(
            (size, f"{published / 1e12:.0f}", f"{same / 1e12:.0f}", f"{published / same:.2f}", f"{ours / 1e12:.0f}")
        )
    return table


@click.command()
@click.option("--family", type=click.Choice(["mini", "hallo2"]), default="mini", show_default=True)
@click.option("--weights", type=click.Path(exists=True, file_okay=False), help="The family's folder of weights.")
@click.option("--device", default="cpu", show_default=True)
@click.option("--resolution", type=int, multiple=True, default=(1024, 2048, 4096), show_default=True)
@click.option("--title", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Of a local output.")
@click.option("--count", is_flag=True, help="Count the arithmetic of the published networks instead.")
@click.option("--json", "as_json", is_flag=True)
def main(
    family: str,
    weights: str | None,
    device: str,
    resolution: tuple[int, ...],
    title: Path | None,
    count: bool,
    as_json: bool,
) -> None:
    """Seconds a frame takes from latents to planes, whole and on a plate, by resolution."""
    if count:
        flop = {size: flop_a_second(size) for size in resolution}
        tell("upscale", {"flop_a_second": flop}, _counts(flop), as_json)
        return
    found = measure(family, weights, device, resolution, title)
    table: list[tuple[object, ...]] = [
        (f"family {family}, {found['clock']}", "decode, s a frame", "restore", "on the plate", "luma, dB", "still")
    ]
    for one in found["frames"]:
        psnr = "same" if one["plate_luma_psnr"] is None else f"{one['plate_luma_psnr']:.1f}"
        seconds = (f"{one[f'{name}_seconds']:.3f}" for name in ("decode", "restore", "restore_on_plate"))
        table.append((one["resolution"], *seconds, psnr, "yes" if one["stands_still"] else "no"))
    tell("upscale", found, table, as_json)
