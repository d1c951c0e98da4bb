"""`python -m benchmarks.networks.loading DIR`: peak memory while the files of a folder of weights become networks.

Each network is loaded in a process of its own. The peak is the resident size (VmHWM) above what the process held
before, with the pages of the mapped file counted in; the ratio is the peak against the tensors that the network then
holds.
`python -m models.weights.synthetic_tree DIR` writes a folder to try it on.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import click

from models.families.registry import FAMILIES


def resident(field: str) -> int:
    """VmRSS or VmHWM of this process, bytes."""
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def measure_here(folder: Path, family: str, network: str) -> dict[str, float]:
    """Load one network in this process: bytes of its tensors and of its file, bytes at peak, seconds."""
    import torch

    from models.weights.loading import load

    constants = FAMILIES[family]
    assert constants.networks is not None
    file, path = next(
        (file, folder / name)
        for file in constants.tree
        for name in file.paths
        if file.network == network and (folder / name).exists()
    )
    torch.set_num_threads(1)
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
    started = time.monotonic()
    loaded = load(path, file, constants.networks)
    seconds = time.monotonic() - started
    held = [value for value in (*loaded.parameters(), *loaded.buffers()) if not value.is_meta]
    for value in held:
        value.sum()  # every page of what stays mapped is touched, as use would
    return {
        "tensors": float(sum(value.nbytes for value in held)),
        "file": float(path.stat().st_size),
        "peak": float(resident("VmHWM") - before),
        "seconds": seconds,
    }


def measure(folder: Path, family: str, network: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.networks.loading", str(folder), "--family", family, "--only", network]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True))
@click.option("--family", default="hallo2", show_default=True)
@click.option("--only", metavar="NETWORK", help="Load this network here and print the numbers as JSON.")
def main(folder: Path, family: str, only: str | None) -> None:
    if only:
        click.echo(json.dumps(measure_here(folder, family, only)))
        return
    click.echo(f"{'network':10}{'file MiB':>12}{'tensors MiB':>14}{'peak MiB':>12}{'ratio':>8}{'seconds':>10}")
    for file in FAMILIES[family].tree:
        if file.holds_tensors and any((folder / name).exists() for name in file.paths):
            found = measure(folder, family, file.network)
            sizes = [found[name] / 2**20 for name in ("file", "tensors", "peak")]
            ratio = found["peak"] / found["tensors"]
            click.echo(
                f"{file.network:10}{sizes[0]:12.1f}{sizes[1]:14.1f}{sizes[2]:12.1f}{ratio:8.3f}{found['seconds']:10.1f}"
            )


if __name__ == "__main__":
    main()
