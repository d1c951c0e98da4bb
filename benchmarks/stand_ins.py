"""Family `timed`: the bytes of family `fake`, each step taking a fixed time, as if accelerators were working.

Family `slow` takes eight times as long: a chain's call then outlasts what surrounds it, as a real one does by far.

For benchmarks of the pipeline itself. Waiting takes no processor, so many of these work side by side on few cores; what
the stand-in computes counts as part of the step's time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from models.families import fake
from models.families.protocol import Arrays, Lane, PictureOptions
from models.families.registry import FAKE, FAMILIES
from pipeline.core.timeline import GOP
from pipeline.core.windows import STRIDE

CLIP_SECONDS = 0.2  # of a batch of lanes
GOP_SECONDS = 0.3  # of upscaling; a GOP is four windows of twelve frames
SLOWER = 8
SETUP_HOOK = "benchmarks.stand_ins.register"  # what Ray's workers call when they start: families are found by name

TIMED = replace(
    FAKE,
    name="timed",
    module="benchmarks.stand_ins",
    lanes=2,
    note="family 'timed' stands in for accelerators: fixed times, no portrait",
    seconds_per_clip=CLIP_SECONDS,
    seconds_per_frame=GOP_SECONDS / GOP,
)
SLOW = replace(
    TIMED,
    name="slow",
    seconds_per_clip=TIMED.seconds_per_clip * SLOWER,
    seconds_per_frame=TIMED.seconds_per_frame * SLOWER,
)


def register() -> None:
    FAMILIES.update({family.name: family for family in (TIMED, SLOW)})


def _wait(started: float, seconds: float) -> None:
    time.sleep(max(0.0, started + seconds - time.monotonic()))


class Chain(fake.Chain):
    def next_clip(self, lanes: list[Lane | None]) -> list[tuple[np.ndarray, Arrays] | None]:
        started = time.monotonic()
        result = super().next_clip(lanes)
        _wait(started, self.family.seconds_per_clip)
        return result


class Upscale(fake.Upscale):
    def restore(self, window: list[Any], places: range, conditioning: Arrays, options: PictureOptions) -> Iterator[Any]:
        started = time.monotonic()
        frames = list(super().restore(window, places, conditioning, options))
        _wait(started, self.family.seconds_per_frame * STRIDE)
        yield from frames


PARTS = {"prepare": fake.Prepare, "chain": Chain, "upscale": Upscale}
