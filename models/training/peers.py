"""Training in several processes: each takes its own batch, gradients are averaged, and all stay alike.

In one process nothing here does anything. The first process alone reads and writes the run's folder; the others are
given its state when they begin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist

# The defaults of its functions keep the group that exists when it is first imported, which making an optimiser does.
# Imported here, before there is one, they keep none: else the group's threads outlive `destroy_process_group`, and now
# and then abort a process that ends.
import torch.distributed.nn.functional
from torch import Tensor, nn


@dataclass(frozen=True)
class Peers:
    rank: int = 0
    number: int = 1

    @classmethod
    def found(cls) -> Peers:
        """The group that whoever started this process has set up, if any."""
        if dist.is_available() and dist.is_initialized():
            return cls(dist.get_rank(), dist.get_world_size())
        return cls()

    @property
    def first(self) -> bool:
        return self.rank == 0

    def average(self, network: nn.Module) -> None:
        """Give every parameter the mean of its gradients; one that a process did not use counts there as zero."""
        if self.number == 1:
            return
        learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
        for parameter in learning:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in learning if parameter.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        flat /= self.number
        for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def agree(self, wanted: bool, device: torch.device) -> bool:
        """Whether any of them wants it."""
        if self.number == 1:
            return wanted
        flag = torch.tensor(float(wanted), device=device)
        dist.all_reduce(flag, dist.ReduceOp.MAX)
        return bool(flag)

    def given(self, state: dict[str, Any]) -> dict[str, Any]:
        """The first one's state, for all of them."""
        if self.number == 1:
            return state
        held = [state]
        dist.broadcast_object_list(held, 0)
        return held[0]


def share(tensor: Tensor) -> None:
    """Make a tensor that a stage changes by itself, without gradients, the same in all processes."""
    if Peers.found().number > 1:
        dist.broadcast(tensor, 0)
