"""Numbers of the processor to an accelerator, without waiting for what that has in hand."""

from __future__ import annotations

import torch
from torch import Tensor


def sent(given: Tensor, device: torch.device) -> Tensor:
    """On the device; from memory that is pinned, so that the copy queues up behind the device's work."""
    if device.type != "cuda" or given.device.type != "cpu":
        return given.to(device)
    return given.pin_memory().to(device, non_blocking=True)


def all_sent(given: list[Tensor], device: torch.device) -> list[Tensor]:
    """Tensors of one type in one copy, as views of it; where they are already, as they are."""
    if device.type != "cuda" or not given:
        return [one.to(device) for one in given]
    together = sent(torch.cat([one.flatten() for one in given]), device)
    parts = together.split([one.numel() for one in given])
    return [part.view(one.shape) for part, one in zip(parts, given, strict=True)]
