"""Synthetic weights by a fixed rule: the same name and shape give the same numbers everywhere.

They stand in for a checkpoint wherever only names, shapes and arithmetic matter. A parameter is drawn from a generator
seeded by its name, then scaled so that activations keep their size through the layers.
"""

import math
import zlib
from collections.abc import Iterable
from typing import TypeVar

import torch
from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)


def draw(name: str, shape: Iterable[int]) -> Tensor:
    """Standard normal float32 numbers that depend on `name` and `shape` alone."""
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    return torch.randn(tuple(shape), generator=generator, dtype=torch.float32)


def synthetic_tensor(name: str, shape: Iterable[int]) -> Tensor:
    """The rule's float32 value of the parameter or floating-point buffer `name` (its name in the checkpoint)."""
    shape = tuple(shape)
    values = draw(name, shape)
    last = name.rpartition(".")[2]
    if len(shape) >= 2:
        return values.div_(math.sqrt(math.prod(shape[1:])))
    if last == "running_var":
        return values.abs_().mul_(0.1).add_(1)
    if name.endswith("bias"):
        return values.mul_(0.05)
    if last == "weight":
        return values.mul_(0.1).add_(1)
    return values.mul_(0.05)


def follows_rule(name: str, value: Tensor) -> bool:
    """Whether the rule draws `name`; integer counters and temporal position tables keep what they are made with."""
    return value.is_floating_point() and name.rpartition(".")[2] != "pe"


def fill(module: Module, prefix: str = "") -> Module:
    """Give every tensor of `module` the rule's value and return it; a module without storage gets storage.

    `prefix` is what the checkpoint puts before the module's own names.
    """
    values = {
        name: synthetic_tensor(prefix + name, value.shape) if follows_rule(name, value) else value
        for name, value in module.state_dict().items()
    }
    module.load_state_dict(values, assign=True)
    return module
