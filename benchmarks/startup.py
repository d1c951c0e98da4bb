"""`python -m benchmarks.run startup [--family F] [--weights W]`: what a worker does before its second clip.

Each run is a process of its own: importing what a driver and a worker import, making the chain's part from its files,
the first clip and the second. Beside it the same network made the plain way: initialised with random numbers, then its
file read whole and copied in; either comes first in every other run. `ratio` is plain over ours.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import click

from benchmarks.interleaved import ratio
from benchmarks.told import tell
from models.families.registry import FAMILIES

PHASES = {
    "import_driver": "importing the driver",
    "import_worker": "importing a worker's networks",
    "networks": "the chain's network, laid out without memory, its file mapped",
    "networks_plain": "the same, initialised, then read and copied",
    "first_clip": "the first clip",
    "second_clip": "the second",
}


def measure_here(family: str, weights: str | None, plain_first: bool) -> dict[str, float]:
    """Seconds of each phase in this process, which must be fresh."""
    found: dict[str, float] = {}
    last = time.perf_counter()

    def mark(name: str = "") -> None:
        nonlocal last
        now = time.perf_counter()
        found[name], last = now - last, now

    import pipeline.driver.drive
    import pipeline.render  # noqa: F401

    mark("import_driver")
    from safetensors.torch import load_file

    from models.families.protocol import ClipOptions
    from models.families.registry import load_part
    from models.weights.loading import load
    from models.weights.recipes import RECIPES
    from models.weights.shipped import shipped_weights

    mark("import_worker")
    constants = FAMILIES[family].networks
    assert constants is not None, f"family {family} has no networks"
    weights = weights or shipped_weights(family)
    assert weights is not None, f"family {family} ships no weights: name a folder"
    file, path = next(
        (file, Path(weights, name))
        for file in FAMILIES[family].tree
        for name in file.paths
        if file.network == "chain" and Path(weights, name).exists()
    )

    def plain() -> None:
        network = RECIPES["chain"].make(constants)
        RECIPES["chain"].holder(network).load_state_dict(load_file(path), strict=False)

    ways = [("networks", lambda: load(path, file, constants)), ("networks_plain", plain)]
    mark()
    for name, way in reversed(ways) if plain_first else ways:
        way()
        mark(name)
    facts = FAMILIES[family]
    chain = load_part(facts, "chain", weights, "cpu")
    lane = chain.sample(0, ClipOptions(facts.default_steps, facts.default_guidance, facts.base_sizes[0]))
    mark()
    for name in ("first_clip", "second_clip"):
        chain.next_clip([lane])
        mark(name)
    return {name: found[name] for name in PHASES}


@click.command()
@click.option("--family", default="mini", show_default=True)
@click.option("--weights", help="Folder of the family's files; default: those that ship.")
@click.option("--runs", type=click.IntRange(1), default=5, show_default=True)
@click.option("--here", type=int, hidden=True, help="Measure in this process, whose number this is.")
@click.option("--json", "as_json", is_flag=True)
def main(family: str, weights: str | None, runs: int, here: int | None, as_json: bool) -> None:
    """Seconds until a worker has made its second clip, phase by phase."""
    if here is not None:
        click.echo(json.dumps(measure_here(family, weights, plain_first=here % 2 == 1)))
        return
    command = [sys.executable, "-m", "benchmarks.run", "startup", "--family", family]
    command += ["--weights", weights] if weights else []
    taken: list[dict[str, float]] = []
    for number in range(runs):
        done = subprocess.run([*command, f"--here={number}"], check=True, stdout=subprocess.PIPE, text=True)
        taken.append(json.loads(done.stdout))
    found: dict[str, Any] = {name: median(run[name] for run in taken) for name in PHASES}
    found["ratio"] = ratio([run["networks_plain"] for run in taken], [run["networks"] for run in taken])
    table: list[tuple[object, ...]] = [(f"family {family}, {runs} processes", "seconds")]
    table += [(words, f"{found[name]:.3f}") for name, words in PHASES.items()]
    table.append(("the plain way takes so many times as long", f"{found['ratio']:.1f}"))
    tell("startup", found, table, as_json)
