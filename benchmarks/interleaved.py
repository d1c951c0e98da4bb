"""Timing several ways of doing the same thing in turn, so that what else the machine does meets all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any


def interleaved(
    ways: Mapping[str, Callable[[], Any]], runs: int, finish: Callable[[], None] = lambda: None
) -> dict[str, list[float]]:
    """Seconds of each run of each way. `finish` waits for a device. One run of each before counts for nothing."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for run in range(runs + 1):
        for name, way in ways.items():
            finish()
            started = time.perf_counter()
            way()
            finish()
            if run:
                taken[name].append(time.perf_counter() - started)
    return taken


def ratio(slow: list[float], fast: list[float]) -> float:
    """Median of the ratios of runs that lay beside each other."""
    return median(a / b for a, b in zip(slow, fast, strict=True))
