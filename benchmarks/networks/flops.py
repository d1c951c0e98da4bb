"""Counting arithmetic: one counter for every floor, torch's own (a multiplication and an addition are two)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode


@torch.no_grad()
def flops(call: Callable[[], Any]) -> int:
    """What matrix products, convolutions and attention in `call` take. On the meta device nothing is computed."""
    counter = FlopCounterMode(display=False)
    with counter:
        call()
    return counter.get_total_flops()
