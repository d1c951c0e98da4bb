"""How a chain's denoiser is called: as it is, in eight bits, compiled, or as two copies, one for each half of guidance.

Eight bits are in a title's hash. The others are not: the sums are the same ones. They are added up in another order, so
what is in use is part of the numerics class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from models.diffusion.denoiser import DenoisingUNet
from models.diffusion.two_devices import Denoise, Elsewhere, devices_for
from models.execution.compiled import CompiledStep, told
from models.execution.eight_bit import in_eight_bits
from models.families.protocol import ClipOptions


@dataclass(frozen=True)
class Way:
    """What `models.diffusion.clip.run_clip` takes beside networks, clip and sampling."""

    denoise: Denoise
    elsewhere: Elsewhere | None
    compiled: tuple[CompiledStep, ...]


class Stepping:
    """The ways of one denoiser, each made when it is first asked for."""

    def __init__(self, denoiser: DenoisingUNet, device: torch.device) -> None:
        self._device = device
        self._denoisers = {(device, "full"): denoiser}
        self._ways: dict[tuple[ClipOptions, int], Way] = {}
        self._settled: dict[tuple[ClipOptions, int], dict[str, Any]] = {}

    def way(self, options: ClipOptions, lanes: int) -> Way:
        """For a batch of so many lanes. Raises GuidanceDevices where there are too few devices."""
        key = _kind(options), lanes
        if key not in self._ways:
            self._ways[key] = self._make(options)
        return self._ways[key]

    def settle(self, options: ClipOptions, lanes: int, trial: Callable[[], object]) -> dict[str, Any]:
        """What the way adds to the numerics class, found by `trial`: a clip of these options in so many lanes."""
        way, key = self.way(options, lanes), (_kind(options), lanes)
        if key not in self._settled:
            facts: dict[str, Any] = {"guidance_devices": options.devices} if way.elsewhere else {}
            if way.compiled:
                self._try(way, trial)
                facts |= {} if any(step.note for step in way.compiled) else {"compiled": told()}
            self._settled[key] = facts
        return self._settled[key]

    def _try(self, way: Way, trial: Callable[[], object]) -> None:
        first, *others = way.compiled
        first.settle(trial)
        for step in others:
            if first.note:
                step.give_up(first.note)

    def _make(self, options: ClipOptions) -> Way:
        apart = options.devices > 1 and options.guidance_scale > 1
        devices = devices_for(options.devices, self._device) if apart else [self._device]
        steps: list[Denoise] = [self._on(device, options.linears) for device in devices]
        compiled = tuple(CompiledStep(step) for step in steps) if options.compiled else ()
        steps = list(compiled) or steps
        return Way(steps[0], Elsewhere(steps[1], devices[1]) if apart else None, compiled)

    def _on(self, device: torch.device, linears: str) -> DenoisingUNet:
        if (device, linears) not in self._denoisers:
            other = copied(self._denoisers[self._device, "full"], device)
            self._denoisers[device, linears] = in_eight_bits(other) if linears == "int8" else other
        return self._denoisers[device, linears]


def copied(denoiser: DenoisingUNet, device: torch.device) -> DenoisingUNet:
    """Another one with the same weights on `device`; what inference never reads stays without memory."""
    with torch.device("meta"):
        other = DenoisingUNet(denoiser.config)
    values = {name: x if x.is_meta else x.to(device) for name, x in denoiser.state_dict().items()}
    other.load_state_dict(values, assign=True)
    return other.eval().requires_grad_(False)


def _kind(options: ClipOptions) -> ClipOptions:
    """Options whose clips are made of the same steps."""
    return replace(options, steps=0)
