"""`python -m benchmarks.run presets`: what leaving something out saves, and how far the latents then are from whole.

Arithmetic is counted at the published size (40 steps and 16 frames of 64 x 64 latents, guided) on the meta device: once
for each of the four kinds of step, of which a clip is made up.

Errors are of one clip, against the family's own steps all guided, everything computed, and against five times as many
steps, which both solvers come near to: of `--family mini` with the weights in `--weights` (or its shipped ones), else
of the published networks at reduced width with weights by rule, which tells how strongly a shortcut acts, but not how
it looks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any, Literal

import click
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.networks.chain import PUBLISHED_STEPS, REDUCED, SAME, last, make_clip, make_networks, psnr
from benchmarks.told import tell
from models.diffusion.clip import clip_steps
from models.execution.eight_bit import in_eight_bits
from models.execution.stepping import copied
from models.families.config import HALLO2, ChainConfig, Sampling
from models.families.protocol import ClipOptions
from models.families.registry import FAMILIES, load_part
from models.weights.shipped import shipped_weights


@dataclass(frozen=True)
class Way:
    steps: float  # share of the family's
    guided_share: float = 1.0
    deep_every: int = 1
    solver: Literal["ddim", "dpm++"] = "ddim"
    linears: Literal["full", "int8"] = "full"

    def sampling(self, steps: int) -> Sampling:
        return Sampling(
            max(1, round(steps * self.steps)),
            guided_share=self.guided_share,
            deep_every=self.deep_every,
            solver=self.solver,
        )


WAYS = {
    "exact": Way(1.0),
    "half of the steps guided": Way(1.0, 0.5),
    "deep levels every 2nd step": Way(1.0, 1.0, 2),
    "deep levels every 3rd step": Way(1.0, 1.0, 3),
    "dpm++": Way(1.0, solver="dpm++"),
    "half of the steps": Way(0.5),
    "half of the steps, dpm++": Way(0.5, solver="dpm++"),
    "a quarter of the steps": Way(0.25),
    "a quarter of the steps, dpm++": Way(0.25, solver="dpm++"),
    "linears in int8": Way(1.0, linears="int8"),
    "balanced": Way(0.5, 0.5),
    "balanced, dpm++": Way(0.5, 0.5, solver="dpm++"),
    "balanced, deep every 2nd": Way(0.5, 0.5, 2),
    "draft": Way(0.25, 0.5, 2),
    "draft, dpm++": Way(0.25, 0.5, 2, "dpm++"),
}
FINE = Way(5.0)


@dataclass(frozen=True)
class Kinds:
    """Arithmetic of a clip's preparation and of its steps, by whether they are guided and compute everything."""

    clip: int
    guided: int
    guided_shallow: int
    alone: int
    alone_shallow: int

    def of(self, sampling: Sampling) -> int:
        total = self.clip
        for number in range(sampling.steps):
            whole = number % sampling.deep_every == 0
            if number < sampling.guided_steps:
                total += self.guided if whole else self.guided_shallow
            else:
                total += self.alone if whole else self.alone_shallow
        return total


@torch.no_grad()
def count(config: ChainConfig, frames: int, side: int = 64) -> Kinds:
    device = torch.device("meta")
    networks = make_networks(config, device, torch.float32)
    clip, noise = make_clip(config, frames, device, torch.float32, side)

    def each(sampling: Sampling) -> list[int]:
        """Of every step; the first with the clip's preparation."""
        with FlopCounterMode(display=False) as counter:
            seen = [0] + [counter.get_total_flops() for _ in clip_steps(networks, clip, noise, sampling)]
        return [after - before for before, after in pairwise(seen)]

    first, shallow, alone, alone_shallow = each(Sampling(4, guided_share=0.5, deep_every=2))
    guided = each(Sampling(2))[1]
    return Kinds(first - guided, guided, shallow, alone, alone_shallow)


@torch.no_grad()
def linear_flop(config: ChainConfig, frames: int, side: int = 64) -> int:
    """Of a guided step's arithmetic, what `linears: int8` has done in eight bits."""
    device = torch.device("meta")
    networks = make_networks(config, device, torch.float32)
    clip, noise = make_clip(config, frames, device, torch.float32, side)
    linear = {
        f"DenoisingUNet.{name}" for name, one in networks.denoising_unet.named_modules() if isinstance(one, nn.Linear)
    }
    found = []
    for steps in (1, 2):
        with FlopCounterMode(display=False) as counter:
            last(clip_steps(networks, clip, noise, Sampling(steps)))
        parts = counter.get_flop_counts().items()
        found.append(sum(sum(each.values()) for name, each in parts if name in linear))
    return found[1] - found[0]


def measure(family: str | None, weights: str | None, side: int, frames: int) -> dict[str, Any]:
    kinds = count(HALLO2, HALLO2.clip_frames)
    whole = kinds.of(WAYS["exact"].sampling(PUBLISHED_STEPS))
    counted = {name: kinds.of(way.sampling(PUBLISHED_STEPS)) for name, way in WAYS.items()}
    errors = _of_family(family, weights) if family else _by_rule(side, frames)
    return {
        "step_flop": asdict(kinds),
        "linear_share": linear_flop(HALLO2, HALLO2.clip_frames) / kinds.guided,
        "flop": counted,
        "flop_ratio": {name: whole / each for name, each in counted.items()},
        "psnr_db": {name: each[0] for name, each in errors.items()},
        "psnr_db_of_fine_steps": {name: each[1] for name, each in errors.items()},
        "weights": family or "by rule",
    }


@torch.inference_mode()
def _by_rule(side: int, frames: int) -> dict[str, tuple[float, float]]:
    device = torch.device("cpu")
    networks = make_networks(REDUCED, device, torch.float32)
    clip, noise = make_clip(REDUCED, frames, device, torch.float32, side)
    eight = in_eight_bits(copied(networks.denoising_unet, device))

    def made(way: Way) -> Tensor:
        denoise = eight if way.linears == "int8" else None
        return last(clip_steps(networks, clip, noise, way.sampling(PUBLISHED_STEPS), None, denoise))

    return _errors(made)


def _errors(made: Callable[[Way], Tensor]) -> dict[str, tuple[float, float]]:
    """Of every way, dB: against the exact one, and against finer steps."""
    exact, fine = made(WAYS["exact"]), made(FINE)
    found = {name: exact if name == "exact" else made(way) for name, way in WAYS.items()}
    return {name: (psnr(one, exact), psnr(one, fine)) for name, one in found.items()}


def _of_family(name: str, weights: str | None) -> dict[str, tuple[float, float]]:
    family = FAMILIES[name]
    part = load_part(family, "chain", weights or shipped_weights(name), "cpu")
    options = ClipOptions(family.default_steps, family.default_guidance, family.base_sizes[0])
    lane = part.sample(0, options)

    def made(way: Way) -> Tensor:
        chosen = replace(
            options,
            steps=max(1, round(options.steps * way.steps)),
            guided_share=way.guided_share,
            deep_every=way.deep_every,
            solver=way.solver,
            linears=way.linears,
        )
        ((latents, _),) = part.next_clip([replace(lane, options=chosen)])
        return torch.from_numpy(latents)

    return _errors(made)


def rows(found: dict[str, Any]) -> list[tuple[object, ...]]:
    table: list[tuple[object, ...]] = [("a clip", "TFLOP", "less by", f"dB, {found['weights']}", "dB of fine steps")]
    for name in WAYS:
        error = found["psnr_db"][name]
        table.append(
            (
                name,
                f"{found['flop'][name] / 1e12:.0f}",
                f"{found['flop_ratio'][name]:.2f}",
                "same" if error >= SAME else f"{error:.1f}",
                f"{found['psnr_db_of_fine_steps'][name]:.1f}",
            )
        )
    return table


@click.command()
@click.option("--family", type=click.Choice(["mini", "hallo2"]), help="Take this family's own networks and steps.")
@click.option("--weights", type=click.Path(exists=True, file_okay=False), help="Its folder of weights.")
@click.option("--side", type=click.IntRange(8), default=16, show_default=True, help="Of the latents, by rule.")
@click.option("--frames", type=click.IntRange(1, 16), default=2, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(as_json: bool, **options: Any) -> None:
    """What sampling shortcuts save, and how far the latents then are from whole."""
    torch.set_num_threads(1)
    found = measure(**options)
    tell("presets", found, rows(found), as_json)
