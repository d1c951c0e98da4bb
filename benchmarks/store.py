"""`python -m benchmarks.run store [--url URL]`: seconds that a store takes to keep and to give what a GOP commits.

Latents of a GOP (1.5 MiB), a fragment (4 MiB) and a record (2 KiB, create-only), each `--runs` times, medians. Without
a URL, a folder on this machine's disk; a bucket is written under a prefix of its own, and what was written is removed.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from statistics import median
from typing import Any
from uuid import uuid4

import click
import numpy as np

from benchmarks.told import tell
from pipeline.store.opening import open_store
from pipeline.store.store import Store

SIZES = {"record": 2 << 10, "latents": 3 << 19, "fragment": 4 << 20}


def _timed(call: Callable[[], Any]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def measure(store: Store, runs: int) -> dict[str, dict[str, float]]:
    rng = np.random.default_rng(1)
    found = {}
    for name, size in SIZES.items():
        put, get, keys = [], [], [f"{name}/{run}" for run in range(runs)]
        for key in keys:
            data = rng.bytes(size)
            keep = store.create if name == "record" else store.put
            put.append(_timed(lambda key=key, data=data, keep=keep: keep(key, data)))  # type: ignore[misc]
        for key in keys:
            get.append(_timed(lambda key=key: store.get(key)))  # type: ignore[misc]
            store.delete(key)
        found[name] = {"bytes": size, "put_seconds": median(put), "get_seconds": median(get)}
    return found


@click.command()
@click.option("--url", help="Folder or URL; default: a temporary folder.")
@click.option("--runs", type=click.IntRange(1), default=21, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(url: str | None, runs: int, as_json: bool) -> None:
    """Seconds that a store takes to keep and to give what a GOP commits."""
    with tempfile.TemporaryDirectory(prefix="longtake-store-") as folder:
        found = measure(open_store(f"{(url or folder).rstrip('/')}/benchmark-{uuid4().hex[:8]}"), runs)
    table: list[tuple[object, ...]] = [(url or "a folder on this machine", "KiB", "put, ms", "get, ms")]
    for name, one in found.items():
        times = (f"{one[f'{way}_seconds'] * 1000:.1f}" for way in ("put", "get"))
        table.append((name, f"{one['bytes'] / 1024:.0f}", *times))
    tell("store", {"url": url, "objects": found}, table, as_json)
