"""The most bytes that tensors hold at once while something is computed, counted storage by storage.

On torch's meta device nothing is computed and no memory is taken, so networks at their full widths can be counted on
any machine. What kernels need beside their results (workspaces of convolutions) and what an allocator loses between
blocks is not in it.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """Counts storages that operations make inside the `with`: `peak` is the most that lived at one moment."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._sizes: dict[int, int] = {}

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        given = {id(one.untyped_storage()) for one in tree_leaves((args, kwargs)) if isinstance(one, torch.Tensor)}
        for one in tree_leaves(result):
            if isinstance(one, torch.Tensor):
                self._seen(one.untyped_storage(), given)
        return result

    def _seen(self, storage: torch.UntypedStorage, given: set[int]) -> None:
        key = id(storage)
        if key in self._sizes or key in given:
            return
        self._sizes[key] = storage.nbytes()
        self.live += storage.nbytes()
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._gone, key)

    def _gone(self, key: int) -> None:
        self.live -= self._sizes.pop(key)


@torch.inference_mode()
def most_bytes(call: Callable[[], Any]) -> int:
    """The most that tensors made in `call` held at once."""
    with LiveBytes() as counter:
        call()
    return counter.peak
