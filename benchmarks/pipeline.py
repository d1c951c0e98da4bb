"""`python -m benchmarks.run pipeline`: stages one after another against stages beside each other.

One title of stand-ins that take a fixed time and no processor (`benchmarks.stand_ins`, family `slow`), on a local
cluster with a process for every worker. Serial is the sum of all calls. The bound is the busiest stage, from its first
call on, with what must lie in front of it and behind it: preparing, the first GOP's chain and the last GOP's
upscaling where they are not the busiest stage's own, and publishing.

`--mini MANIFEST` renders a manifest twice instead: in one process, where nothing overlaps, and on a local Ray.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from benchmarks import stand_ins
from benchmarks.makespan import Size, render, write_catalog
from benchmarks.told import tell
from cluster import local
from pipeline.core.timeline import CLIPS_PER_GOP, GOP

STAGES = {
    "prepare": ("conditioning", "sound", "features"),
    "chain": ("chain",),
    "upscale": ("upscale",),
    "publish": ("playlist", "finish"),
}
GOP_CHAIN = CLIPS_PER_GOP * stand_ins.SLOW.seconds_per_clip
GOP_UPSCALE = GOP * stand_ins.SLOW.seconds_per_frame


@dataclass(frozen=True)
class Call:
    kind: str
    start: float
    end: float


def bound(gops: int, upscalers: int, prepare: float, publish: float) -> float:
    """Least seconds that any order of work takes."""
    chain, upscale = gops * GOP_CHAIN, -(-gops // upscalers) * GOP_UPSCALE
    return prepare + max(chain + GOP_UPSCALE, GOP_CHAIN + upscale) + publish


def summary(calls: Sequence[Call], gops: int, upscalers: int) -> dict[str, Any]:
    busy = {stage: sum(one.end - one.start for one in calls if one.kind in kinds) for stage, kinds in STAGES.items()}
    wall = max(one.end for one in calls) - min(one.start for one in calls)
    # What comes before the chain and after the last fragment is not the stand-ins': it is taken as it was.
    prepare = min(one.start for one in calls if one.kind == "chain") - min(one.start for one in calls)
    publish = max(one.end for one in calls) - max(one.end for one in calls if one.kind == "upscale")
    least = bound(gops, upscalers, prepare, publish)
    return {
        "gops": gops,
        "upscalers": upscalers,
        "serial": sum(busy.values()),
        "pipelined": wall,
        "ratio": sum(busy.values()) / wall,
        "bound": least,
        "over": wall / least - 1,
        "busy": busy,
    }


def measure(gops: int, upscalers: int) -> dict[str, Any]:
    stand_ins.register()
    size, family = Size(chains=1, lanes=1, upscalers=upscalers), stand_ins.SLOW
    with (
        tempfile.TemporaryDirectory(prefix="longtake-pipeline-") as name,
        local.running(local.Shape(1, 1 + upscalers, 1 + upscalers)) as cluster,
    ):
        record, *_ = render(write_catalog(Path(name), [gops], family), cluster.address, size, family)
    return summary([Call(kind, start, end) for _, kind, start, end, _ in record.calls()], gops, upscalers)


def rows(found: dict[str, Any]) -> list[tuple[object, ...]]:
    stages = [(f"{stage}, busy", f"{seconds:.1f}") for stage, seconds in found["busy"].items()]
    return [
        (f"{found['gops']} GOPs, 1 chain worker, {found['upscalers']} upscalers", "seconds"),
        *stages,
        ("one after another", f"{found['serial']:.1f}"),
        ("beside each other", f"{found['pipelined']:.1f}", f"{found['ratio']:.2f} times as fast"),
        ("busiest stage and fill", f"{found['bound']:.1f}", f"{found['over']:+.1%} beyond it"),
    ]


def render_seconds(manifest: Path, executor: str) -> float:
    """Of a whole run of the manifest in a process of its own, into a folder that is thrown away."""
    with tempfile.TemporaryDirectory(prefix="longtake-pipeline-") as output:
        started = time.monotonic()
        command = [sys.executable, "-m", "pipeline.render", str(manifest), "--output", output, "--executor", executor]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stderr[-3000:])
        return time.monotonic() - started


@click.command()
@click.option("--gops", type=click.IntRange(1), default=16, show_default=True)
@click.option("--upscalers", type=click.IntRange(1), default=2, show_default=True)
@click.option("--mini", "manifest", type=click.Path(exists=True, path_type=Path), metavar="MANIFEST")
@click.option("--json", "as_json", is_flag=True)
def main(gops: int, upscalers: int, manifest: Path | None, as_json: bool) -> None:
    """Stages one after another against stages beside each other."""
    if manifest is None:
        found = measure(gops, upscalers)
        tell("pipeline", found, rows(found), as_json)
        return
    taken = {executor: render_seconds(manifest, executor) for executor in ("inline", "ray")}
    found = {"manifest": manifest.name, "seconds": taken, "ratio": taken["inline"] / taken["ray"]}
    table = [
        (manifest.name, "seconds"),
        ("one process", f"{taken['inline']:.1f}"),
        ("workers on Ray, start-up included", f"{taken['ray']:.1f}", f"{found['ratio']:.2f} times as fast"),
    ]
    tell("pipeline", found, table, as_json)
