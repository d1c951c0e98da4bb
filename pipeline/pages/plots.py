"""Curves that `evaluate` left for a title, thinned out to what a page can draw."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

MOST_POINTS = 600
MOST_SERIES = 40


def curves_of(evaluation: Mapping[str, object] | None) -> dict[str, object] | None:
    """Series and sums for a page: each series {name, step (seconds), values}; sums are the plain numbers at the top.

    A series is a list with a value a second (null where there is none), under `per_second` or `series`.
    """
    if not evaluation:
        return None
    found = evaluation.get("per_second") or evaluation.get("series")
    series = []
    for name, values in list(found.items())[:MOST_SERIES] if isinstance(found, Mapping) else ():
        if isinstance(values, list) and any(_is_number(value) for value in values):
            step, thin = thinned([float(value) if _is_number(value) else None for value in values])
            series.append({"name": str(name), "step": step, "values": thin})
    sums = {str(name): value for name, value in evaluation.items() if _is_number(value) and name != "frames"}
    return {"series": series, "sums": sums} if series or sums else None


def thinned(values: Sequence[float | None]) -> tuple[int, list[float | None]]:
    """(values a point stands for, their means); at most 600 points."""
    step = max(1, -(-len(values) // MOST_POINTS))
    means = []
    for start in range(0, len(values), step):
        there = [value for value in values[start : start + step] if value is not None]
        means.append(round(sum(there) / len(there), 6) if there else None)
    return step, means


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
