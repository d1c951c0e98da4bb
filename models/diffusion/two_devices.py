"""The two halves of guidance, each on a device of its own: they never meet within a step.

Both start from the same latents. The conditional half stays where the chain is; the unconditional half's part of a
clip's context is moved once a clip, its latents at every step, its prediction back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor

from models.diffusion.denoiser import ClipContext
from models.diffusion.unet import DeepFeatures

Denoise = Callable[[Tensor, Tensor, ClipContext, DeepFeatures | None], Tensor]
"""A denoiser's step: latents, timestep, what the clip's rows see, features that are kept."""


class Elsewhere:
    """The unconditional half's denoiser, called beside the other's."""

    def __init__(self, denoise: Denoise, device: torch.device) -> None:
        self._denoise = denoise
        self.device = device
        self._thread = ThreadPoolExecutor(1)

    def beside(self, here: Callable[[], Tensor], *there: Any) -> Tensor:
        """[unconditional; conditional] rows, on the device of `here`, which runs meanwhile; `there`: as `Denoise`."""
        grad, inference = torch.is_grad_enabled(), torch.is_inference_mode_enabled()

        def other() -> Tensor:
            with torch.inference_mode(inference), torch.set_grad_enabled(grad and not inference):
                return self._denoise(*(moved(one, self.device) for one in there))

        waiting = self._thread.submit(other)
        mine = here()
        return torch.cat([waiting.result().to(mine.device), mine])


def moved(value: Any, device: torch.device) -> Any:
    """Tensors, and mappings, tuples and dataclasses of them, on a device; anything else as it is."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, Mapping):
        return {name: moved(one, device) for name, one in value.items()}
    if isinstance(value, tuple):
        return tuple(moved(one, device) for one in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{one.name: moved(getattr(value, one.name), device) for one in fields(value)})
    return value


def devices_for(count: int, device: torch.device) -> list[torch.device]:
    """The devices that `guidance_devices: count` takes, `device` first. Raises GuidanceDevices."""
    there = torch.cuda.device_count() if device.type == "cuda" else 1
    if there < count:
        raise GuidanceDevices(
            f"guidance_devices: value {count}: this worker has {there} device{'s' * (there != 1)} ({device.type}), "
            f"expected {count}; leave the option out, or render where a machine has {count} accelerators"
        )
    return [device] + [torch.device("cuda", number) for number in range(1, count)]


class GuidanceDevices(ValueError):
    """More devices are asked for than a worker has."""
