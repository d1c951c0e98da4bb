"""`python -m benchmarks.run chain`: one clip the published way (`benchmarks.networks.plain_chain`) and ours.

Reduced width, by default: 64 x 64 latents and every quirk of the published networks, narrow enough for a processor.
`--full` takes the published widths, for an accelerator. Weights are made by rule: speed does not depend on them.

Arithmetic is counted by `benchmarks.networks.flops`, at the size that is timed and at the published size (40 steps of
16 frames, on the meta device, where nothing is computed). `floor_share` is the time that our arithmetic would take at
the rate of a large matrix product on the same device, in the same number type, over the time that was taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from statistics import median
from typing import Any

import click
import torch
from torch import Tensor

from benchmarks.interleaved import interleaved, ratio
from benchmarks.networks.flops import flops
from benchmarks.networks.loading import resident
from benchmarks.networks.plain_chain import plain_steps
from benchmarks.told import tell
from models.diffusion.clip import ChainNetworks, Clip, clip_steps
from models.families.config import HALLO2, AudioProjectionConfig, ChainConfig, FaceLocatorConfig, Sampling
from models.weights.synthetic import fill

SIDE = 64  # latents, of a picture of 512
REDUCED = replace(
    HALLO2,
    unet=replace(
        HALLO2.unet, channels=(32, 64, 128, 128), layers=1, groups=16, image_token_width=64, audio_token_width=64
    ),
    face_locator=FaceLocatorConfig(channels=(4, 8, 16, 16)),
    audio_projection=AudioProjectionConfig(layers=2, feature_width=16, hidden_width=32),
)
"""The published networks at a fifth to a tenth of their width and about half their depth."""
H100 = 790e12
"""FLOP a second that large dense products reach in half precision on an H100: what published floors divide by."""
PUBLISHED_STEPS = 40
SAME = 200.0  # dB that stand for no difference at all


def make_networks(config: ChainConfig, device: torch.device, dtype: torch.dtype) -> ChainNetworks:
    """Networks with weights by rule; on the meta device with none."""
    with torch.device("meta"):
        networks = ChainNetworks(config)
    networks = networks.eval().requires_grad_(False)
    return (networks if device.type == "meta" else fill(networks)).to(device, dtype)


def make_clip(
    config: ChainConfig, frames: int, device: torch.device, dtype: torch.dtype, side: int = SIDE
) -> tuple[Clip, Tensor]:
    """Inputs of one lane, and the noise [1 f c h w]; the same numbers on every device."""
    generator = torch.Generator().manual_seed(0)
    audio, latents = config.audio_projection, config.unet.latent_channels

    def normal(*shape: int) -> Tensor:
        if device.type == "meta":
            return torch.empty(shape, device=device)
        return torch.randn(shape, generator=generator).to(device, dtype)

    clip = Clip(
        reference=normal(1, latents, side, side),
        motion=normal(1, config.motion_frames, latents, side, side),
        face_embedding=normal(1, config.image_projection.embedding_width),
        audio=normal(1, frames, audio.window, audio.layers, audio.feature_width),
        region=normal(1, 3, 8 * side, 8 * side).sigmoid(),
        masks=tuple(
            tuple(normal(1, (side >> level) ** 2).sigmoid() for level in range(len(config.unet.channels)))
            for _ in range(3)
        ),
    )
    return clip, normal(1, frames, latents, side, side)


def last(steps: Iterator[Tensor]) -> Tensor:
    latents = None
    for latents in steps:  # noqa: B007  the last one is wanted
        pass
    assert latents is not None
    return latents


def psnr(found: Tensor, wanted: Tensor) -> float:
    """Of the peak-to-peak range of what is wanted, dB; SAME where they are."""
    error = (found.double() - wanted.double()).square().mean()
    if error == 0:
        return SAME
    return float(10 * torch.log10((wanted.double().max() - wanted.double().min()) ** 2 / error))


def clip_flops(
    steps: Callable[..., Iterator[Tensor]], config: ChainConfig, frames: int, count: int, side: int = SIDE
) -> int:
    """Arithmetic of a clip of `count` steps: steps cost the same, so that two of them tell."""
    device = torch.device("meta")
    networks, (clip, noise) = (
        make_networks(config, device, torch.float32),
        make_clip(config, frames, device, torch.float32, side),
    )

    def taken(number: int) -> int:
        return flops(lambda: last(steps(networks, clip, noise, Sampling(steps=number))))

    one, two = taken(1), taken(2)
    return one + (count - 1) * (two - one)


def peak_rate(device: torch.device, dtype: torch.dtype, finish: Callable[[], None]) -> float:
    """FLOP a second of a large square matrix product."""
    side = 8192 if device.type == "cuda" else 1024
    a = torch.randn(side, side, device=device, dtype=dtype)
    return 2 * side**3 / min(interleaved({"product": lambda: a @ a}, 5, finish)["product"])


def peak_bytes(device: torch.device, call: Callable[[], Any]) -> int:
    """Most memory held while `call` runs, beyond what was held before."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        return torch.cuda.max_memory_allocated() - before
    before = resident("VmRSS")
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # forgets the peak so far
    call()
    return resident("VmHWM") - before


def measure(
    *,
    full: bool = False,
    device: str = "cpu",
    dtype: str = "float32",
    frames: int = 2,
    steps: int = 2,
    runs: int = 7,
    side: int = SIDE,
) -> dict[str, Any]:
    where, kind, config = torch.device(device), getattr(torch, dtype), HALLO2 if full else REDUCED
    finish = torch.cuda.synchronize if where.type == "cuda" else lambda: None
    networks, (clip, noise) = make_networks(config, where, kind), make_clip(config, frames, where, kind, side)
    sampling = Sampling(steps=steps)

    @torch.inference_mode()
    def plain() -> Tensor:
        return last(plain_steps(networks, clip, noise, sampling))

    @torch.inference_mode()
    def ours() -> Tensor:
        return last(clip_steps(networks, clip, noise.float(), sampling))  # as workers hold it

    same = psnr(ours(), plain())
    memory = {name: peak_bytes(where, way) for name, way in (("plain", plain), ("ours", ours))}
    taken = interleaved({"plain": plain, "ours": ours}, runs, finish)
    counted = {name: clip_flops(way, config, frames, steps, side) for name, way in _WAYS.items()}
    published = {name: clip_flops(way, HALLO2, HALLO2.clip_frames, PUBLISHED_STEPS) for name, way in _WAYS.items()}
    rate = peak_rate(where, kind, finish)
    return {
        "size": {
            "width": "published" if full else "reduced",
            "frames": frames,
            "side": side,
            "steps": steps,
            "dtype": dtype,
            "runs": runs,
        },
        "ratio": ratio(taken["plain"], taken["ours"]),
        "flop_ratio": counted["plain"] / counted["ours"],
        "psnr_db": same,
        "floor_share": counted["ours"] / rate / median(taken["ours"]),
        "seconds": {name: median(each) for name, each in taken.items()},
        "peak_bytes": memory,
        "flop": counted,
        "peak_flop_per_second": rate,
        "published_size": {
            "flop": published,
            "flop_ratio": published["plain"] / published["ours"],
            "floor_seconds_h100": {name: count / H100 for name, count in published.items()},
        },
    }


_WAYS: dict[str, Callable[..., Iterator[Tensor]]] = {"plain": plain_steps, "ours": clip_steps}


def rows(found: dict[str, Any]) -> list[tuple[object, ...]]:
    size, far = found["size"], found["published_size"]
    table: list[tuple[object, ...]] = [
        (
            f"{size['width']} width, latents {size['side']} x {size['side']}, {size['frames']} frames, "
            f"{size['steps']} steps, {size['dtype']}",
            "plain",
            "ours",
            "ratio",
        ),
        ("seconds, median", *(f"{found['seconds'][name]:.2f}" for name in _WAYS), f"{found['ratio']:.2f}"),
        ("GFLOP", *(f"{found['flop'][name] / 1e9:.1f}" for name in _WAYS), f"{found['flop_ratio']:.2f}"),
        (
            "peak MiB",
            *(f"{found['peak_bytes'][name] / 2**20:.0f}" for name in _WAYS),
            f"{found['peak_bytes']['plain'] / max(found['peak_bytes']['ours'], 1):.2f}",
        ),
        ("latents, PSNR in dB", "", f"{found['psnr_db']:.1f}"),
        ("share of the arithmetic floor", "", f"{found['floor_share']:.0%}"),
        (
            "TFLOP, published size, 40 steps",
            *(f"{far['flop'][name] / 1e12:.0f}" for name in _WAYS),
            f"{far['flop_ratio']:.2f}",
        ),
        ("its floor on an H100, seconds", *(f"{far['floor_seconds_h100'][name]:.2f}" for name in _WAYS)),
    ]
    return table


@click.command()
@click.option("--full", is_flag=True, help="The published widths, for an accelerator.")
@click.option("--device", default="cpu", show_default=True)
@click.option("--dtype", type=click.Choice(["float32", "float16", "bfloat16"]), default="float32", show_default=True)
@click.option("--side", type=click.IntRange(8), default=SIDE, show_default=True, help="Of the latents.")
@click.option("--frames", type=click.IntRange(1, 16), default=2, show_default=True)
@click.option("--steps", type=click.IntRange(1), default=2, show_default=True)
@click.option("--runs", type=click.IntRange(1), default=7, show_default=True)
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Of a processor.")
@click.option("--json", "as_json", is_flag=True)
def main(threads: int, as_json: bool, **options: Any) -> None:
    """One clip: the published order of operations against ours."""
    torch.set_num_threads(threads)
    found = measure(**options)
    tell("chain", found, rows(found), as_json)
