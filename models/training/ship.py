"""`python -m models.training.ship RUN … --to FOLDER`: what runs have reached, as a family's folder of weights.

Every run's `weights/`, or the folder itself, is searched for the files of the family; floating-point tensors are
rounded to half precision. What is written is loaded again as a render would load it, so a folder that is incomplete or
does not fit is refused.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import click
import torch
from safetensors.torch import load_file, save_file

from models.families.protocol import Family
from models.families.registry import FAMILIES
from models.weights.loading import WeightsProblem, load
from models.weights.shipped import SUMS

LARGEST = 16 << 20  # bytes of a file
ALL = 60_000_000  # bytes of a folder


def ship(runs: list[Path], to: Path, family: Family) -> dict[str, int]:
    """Write a folder of weights -> bytes by file. Raises WeightsProblem for what is missing or too large."""
    assert family.networks is not None
    found = {file.path: [at / file.path for run in runs for at in (run / "weights", run)] for file in family.tree}
    found = {name: [path for path in places if path.exists()] for name, places in found.items()}
    missing = [name for name, places in found.items() if not places]
    if missing:
        raise WeightsProblem(
            f"none of {', '.join(map(str, runs))} holds {', '.join(missing)}: train the stage that makes it"
        )
    several = [f"{name} in {', '.join(map(str, places))}" for name, places in found.items() if len(places) > 1]
    if several:
        raise WeightsProblem(f"more than one file of a name: {'; '.join(several)}: name the run that counts alone")
    to.mkdir(parents=True, exist_ok=True)
    sizes = {}
    for file in family.tree:
        tensors = load_file(found[file.path][0])
        rounded = {name: t.half() if t.is_floating_point() else t for name, t in tensors.items()}
        endless = [name for name, t in rounded.items() if t.is_floating_point() and not bool(torch.isfinite(t).all())]
        if endless:
            raise WeightsProblem(f"{found[file.path][0]}: {endless[0]} holds numbers beyond half precision")
        save_file({name: t.contiguous() for name, t in rounded.items()}, to / file.path)
        load(to / file.path, file, family.networks)
        sizes[file.path] = (to / file.path).stat().st_size
    large = [name for name, size in sizes.items() if size > LARGEST]
    if large or sum(sizes.values()) > ALL:
        raise WeightsProblem(f"{to}: {large or 'all files together'} are larger than {LARGEST:,} or {ALL:,} bytes")
    sums = [f"{hashlib.sha256((to / name).read_bytes()).hexdigest()}  {name}\n" for name in sorted(sizes)]
    (to / SUMS).write_text("".join(sums))
    return sizes


@click.command(help=__doc__)
@click.argument("runs", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--to", required=True, type=click.Path(path_type=Path))
def main(runs: tuple[Path, ...], to: Path) -> None:
    try:
        sizes = ship(list(runs), to, FAMILIES["mini"])
    except WeightsProblem as error:
        click.echo(f"ship: {error}", err=True)
        sys.exit(2)
    for name, size in sizes.items():
        click.echo(f"{size:>12,}  {to / name}")
    click.echo(f"{sum(sizes.values()):>12,}  in all")


if __name__ == "__main__":
    main()
