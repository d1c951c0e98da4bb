"""Where networks compute in half precision: on an accelerator, those that the published inference computes in it.

What lies between the networks stays in float32: noise and latents from step to step, guidance, what the chain carries
on; in the upscaler landmarks, warps, filters, colours and planes. So do the detector and the parser, whose small errors
would move or cut what is pasted, and of the restorer what chooses codes: two codes that are nearly as likely would
change places from frame to frame. Values are cast where they enter a network and come back in float32.

On an accelerator everything else that could give other bits for the same numbers is fixed, too (`settle_arithmetic`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from importlib.metadata import version

import torch
from torch import Tensor, nn

from models.families.protocol import Family
from models.kernels.fused import usable

HALVED = ("chain", "vae", "encoder", "text", "restorer", "enlarger")
"""The networks that a family's `accelerator_dtype` is meant for; all others compute in float32 everywhere."""
WHOLE = {"restorer": ("position_emb", "quantize.", "feat_emb.", "ft_layers.", "idx_pred_layer.")}
"""Tensors of these networks, by the beginning of their names, that stay in float32 all the same."""


def number_type(family: Family, network: str, device: torch.device) -> torch.dtype:
    """In what the network's weights are held and its sums are made."""
    halved = device.type == "cuda" and network in HALVED
    return getattr(torch, family.accelerator_dtype) if halved else torch.float32


def tensor_type(network: str, tensor: str, main: torch.dtype) -> torch.dtype:
    """Of one floating-point tensor of a network whose others are of type `main`."""
    return torch.float32 if tensor.startswith(WHOLE.get(network, ())) else main


def numbered(device: torch.device | str) -> torch.device:
    """The device with its number, as tensors tell it: `cuda` is `cuda:0`, or whichever is the process's own."""
    device = torch.device(device)
    if device.type == "cuda" and device.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return device


def settle(network: nn.Module, name: str, device: torch.device, main: torch.dtype) -> None:
    """All tensors that the network holds on the device and in their types, those included that no file holds.

    What is on the meta device, which inference never reads, stays there.
    """
    for prefix, module in network.named_modules():
        for held in (module._parameters, module._buffers):
            for own, value in list(held.items()):
                if value is None or value.is_meta:
                    continue
                full = f"{prefix}.{own}" if prefix else own
                kind = tensor_type(name, full, main) if value.is_floating_point() else value.dtype
                if value.device == device and value.dtype == kind:
                    continue
                moved = value.to(device, kind)
                held[own] = nn.Parameter(moved, value.requires_grad) if isinstance(value, nn.Parameter) else moved


def types_of(network: nn.Module, name: str) -> dict[str, torch.dtype]:
    """By what a numerics class names: the network, and what of it stays in float32."""
    by_type: dict[bool, torch.dtype] = {}
    for tensor, value in network.state_dict().items():
        if value.is_floating_point() and not value.is_meta:
            by_type.setdefault(tensor.startswith(WHOLE.get(name, ())), value.dtype)
    own, whole = by_type.get(False, torch.float32), by_type.get(True)
    return {name: own} if whole in (None, own) else {name: own, f"{name}'s codes": whole}


def astray(network: nn.Module, device: torch.device) -> list[str]:
    """Tensors that lie on another device than the network's, those that modules hold as plain attributes included."""
    found = []
    for prefix, module in network.named_modules():
        values = {**vars(module), **module._parameters, **module._buffers}
        found += [
            f"{prefix}.{own}" if prefix else own
            for own, value in values.items()
            if isinstance(value, Tensor) and not value.is_meta and value.device != device
        ]
    return found


def settle_arithmetic() -> None:
    """One way of computing on an accelerator: no algorithm chosen by timing or by free memory, no TF32 for float32."""
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def libraries() -> dict[str, str]:
    """What computes on an accelerator beside torch itself, as a numerics class names it."""
    kernels = f"triton {version('triton')}" if usable() else "none"
    return {
        "cuda": str(torch.version.cuda or torch.version.hip),
        "cudnn": str(torch.backends.cudnn.version()),
        "kernels": kernels,
    }


def told(types: Mapping[str, torch.dtype]) -> str:
    """Number types by network as a numerics class names them: `float32`, or `float16 chain, vae; float32 speech`."""
    by_type = defaultdict(list)
    for network, kind in sorted(types.items()):
        by_type[str(kind).removeprefix("torch.")].append(network)
    if len(by_type) == 1:
        return next(iter(by_type))
    return "; ".join(f"{kind} {', '.join(networks)}" for kind, networks in sorted(by_type.items()))
