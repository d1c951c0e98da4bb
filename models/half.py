"""Half precision in the upscaler: its large networks (restorer, x2 network, autoencoder), on an accelerator only.

Numbers are cast where a network begins and ends. What lies between networks stays in float32: landmarks, warps,
filters, colours, planes; so do the detector and the parser, whose small errors would move or cut what is pasted.
"""

from __future__ import annotations

import torch

TYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def type_on(device: torch.device, accelerator_dtype: str) -> torch.dtype:
    """In what those networks compute on a device: float32 on a processor, whatever the family's type.

    Raises ValueError for a type that is none of TYPES.
    """
    if accelerator_dtype not in TYPES:
        expected = ", ".join(TYPES)
        raise ValueError(f"accelerator_dtype {accelerator_dtype!r}: expected one of {expected}; correct the family")
    return TYPES[accelerator_dtype] if device.type == "cuda" else torch.float32


def told(kind: torch.dtype) -> str:
    """The precision that the numerics class names."""
    (name,) = (name for name, one in TYPES.items() if one == kind)
    return name if kind == torch.float32 else f"{name} enlarger, restorer, vae; float32 detector, parser"
