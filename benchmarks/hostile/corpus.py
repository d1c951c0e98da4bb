"""All hostile cases."""

from __future__ import annotations

from benchmarks.hostile import arrays, images, manifests, places, sounds, stored, weights
from benchmarks.hostile.case import Case

CASES: list[Case] = [
    one for group in (manifests, images, sounds, arrays, weights, stored, places) for one in group.CASES
]
