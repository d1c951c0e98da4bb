"""Where networks compute in half precision: on an accelerator, those that the published inference computes in it.

What lies between the networks stays in float32: noise and latents from step to step, guidance, what the chain carries
on; in the upscaler landmarks, warps, filters, colours and planes. So do the detector and the parser, whose small errors
would move or cut what is pasted. Values are cast where they enter a network and come back in float32.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import torch

from models.families.protocol import Family

HALVED = ("chain", "vae", "text", "restorer", "enlarger")
"""The networks that a family's `accelerator_dtype` is meant for; all others compute in float32 everywhere."""


def number_type(family: Family, network: str, device: torch.device) -> torch.dtype:
    """In what the network's weights are held and its sums are made."""
    halved = device.type == "cuda" and network in HALVED
    return getattr(torch, family.accelerator_dtype) if halved else torch.float32


def told(types: Mapping[str, torch.dtype]) -> str:
    """Number types by network as a numerics class names them: `float32`, or `float16 chain, vae; float32 speech`."""
    by_type = defaultdict(list)
    for network, kind in sorted(types.items()):
        by_type[str(kind).removeprefix("torch.")].append(network)
    if len(by_type) == 1:
        return next(iter(by_type))
    return "; ".join(f"{kind} {', '.join(networks)}" for kind, networks in sorted(by_type.items()))
