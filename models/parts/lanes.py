"""Lanes of a batch: that none sees its neighbours, and how many are worth having.

A chain part takes several titles a call. Its batch always has the same shape, because kernels are chosen by shape and
another kernel adds in another order; then a lane's result should not depend on what is in the others, nor on its own
place. Whether that holds is the arithmetic library's affair, so every worker tries it on its device.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

from models.families.dead_device import MEMORY, is_dead
from models.families.protocol import Arrays, ClipOptions, Lane

MOST = 8  # lanes that are tried
WORTH = 0.9  # of the time a lane's clip takes, that twice as many lanes must stay below


class Sampled(Protocol):
    """A chain part that can make up inputs of the right shapes."""

    def sample(self, seed: int, options: ClipOptions) -> Lane: ...

    def next_clip(self, lanes: list[Lane | None]) -> list[Any]: ...


def independent(part: Sampled, options: ClipOptions, lanes: int) -> bool:
    """Whether a lane gives the same bytes alone, and with others, in every place of a batch of `lanes`."""
    mine = part.sample(0, options)
    others = [part.sample(1 + place, options) for place in range(lanes)]
    alone = part.next_clip([mine] + [None] * (lanes - 1))[0]
    for place in range(lanes):
        batch: list[Lane | None] = [*others[:place], mine, *others[place + 1 :]]
        if not _same(part.next_clip(batch)[place], alone):
            return False
    return True


def calibrate(
    part: Sampled, options: ClipOptions, most: int = MOST, clock: Callable[[], float] = time.perf_counter
) -> int:
    """Lanes of a batch, 1, 2, 4 …: as many as make a lane's clip cheaper, fit into memory and do not see each other."""
    best, lanes, fastest = 1, 1, float("inf")
    while lanes <= most:
        try:
            if lanes > 1 and not independent(part, options, lanes):
                break
            batch: list[Lane | None] = [part.sample(seed, options) for seed in range(lanes)]
            part.next_clip(batch)  # the first of a shape pays for choosing kernels
            began = clock()
            part.next_clip(batch)
            each = (clock() - began) / lanes
        except (MemoryError, RuntimeError) as error:
            # Too little memory, or a kernel that does not take so many rows: fewer lanes will do. But for one lane
            # there are no fewer, and after some errors the device computes nothing more.
            if is_dead(error) or (lanes == 1 and not _ran_out(error)):
                raise
            break
        if each > fastest * WORTH:
            break
        best, fastest, lanes = lanes, each, lanes * 2
    return best


def _ran_out(error: Exception) -> bool:
    return isinstance(error, MemoryError) or type(error).__name__ == MEMORY


def _same(one: tuple[Any, Arrays], other: tuple[Any, Arrays]) -> bool:
    return (
        one[0].tobytes() == other[0].tobytes()
        and one[1].keys() == other[1].keys()
        and all(array.tobytes() == other[1][name].tobytes() for name, array in one[1].items())
    )
