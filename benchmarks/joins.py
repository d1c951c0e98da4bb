"""`python -m benchmarks.joins`: how much the picture changes where a retake begins and ends, and a sheet to look at.

Every portrait says `examples/speech.flac` twice, with a retake in its middle: the film goes over from one scene to
another and back. A pixel's mean change of luma from frame to frame in the frames that dissolve, and at the border
behind them, is compared with the change everywhere else in the same film.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import av
import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline import api
from pipeline.core.timeline import GOP
from pipeline.titles.joins import OVER

EXAMPLES = Path(__file__).parents[1] / "examples"
PORTRAITS = tuple(EXAMPLES / f"{name}.png" for name in ("portrait", "photograph", "painting"))
TAKEN = {"from": 6.5, "to": 9.5, "seed": 7}
AROUND = (12, 4)  # frames before and behind a border on a sheet
TILE = 256


def films(portraits: Sequence[Path], family: str, size: int, folder: Path, join: str) -> list[tuple[Path, list[int]]]:
    """Render each portrait's film: (file, first frames of the pieces behind its first)."""
    titles = [{"id": f"person-{number}", "portrait": str(path.resolve())} for number, path in enumerate(portraits)]
    defaults = {"resolution": size, "marks": "off", "join": join}
    manifest = {"version": 1, "output": str(folder / "out"), "family": family, "defaults": defaults}
    shared = {"audio": [str(EXAMPLES / "speech.flac")] * 2, "retakes": [TAKEN]}
    path = folder / "manifest.yaml"
    path.write_text(json.dumps(manifest | {"titles": [one | shared for one in titles]}))
    api.render(api.load(str(path)), executor="inline").check()
    found = []
    for one in titles:
        report = json.loads((folder / "out" / one["id"] / "report.json").read_text())
        found.append((folder / "out" / one["id"] / "final.mp4", [piece["first"] for piece in report["scenes"][1:]]))
    return found


def changes(film: Path) -> tuple[NDArray[np.float64], list[NDArray[np.uint8]]]:
    """[frames - 1] mean change of luma to the next frame, of 255; and all frames as RGB, made small."""
    before, found, small = None, [], []
    with av.open(str(film)) as container:
        for frame in container.decode(video=0):
            luma = frame.to_ndarray(format="gray").astype(np.float32)
            if before is not None:
                found.append(float(np.abs(luma - before).mean()))
            before = luma
            small.append(np.asarray(frame.to_image().resize((TILE, TILE * frame.height // frame.width))))
    return np.array(found), small


def figures(change: NDArray[np.float64], firsts: Sequence[int]) -> dict[str, float]:
    """`change[k]` is from frame k to frame k + 1. At borders of GOPs key frames begin: they are compared alone, too."""
    joined = np.zeros(len(change), bool)
    borders = np.arange(len(change)) % GOP == GOP - 1
    for first in firsts:
        joined[first - OVER - 1 : first] = True
    elsewhere, others = change[~joined & ~borders], change[~joined & borders]
    dissolving, at = change[joined & ~borders], change[joined & borders]
    return {
        "elsewhere": float(elsewhere.mean()),
        "dissolving": float(dissolving.mean()),
        "dissolving_most": float(dissolving.max()),
        "other_borders": float(others.mean()),
        "border": float(at.mean()),
        "ratio": float(change[joined].mean() / change[~joined].mean()),
        "ratio_border": float(at.max() / others.mean()),
    }


@click.command()
@click.option("--family", default="mini", show_default=True)
@click.option("--size", default=512, show_default=True, help="Resolution of the films.")
@click.option("--portrait", multiple=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--cut", is_flag=True, help="Cut instead of dissolving, for comparison.")
@click.option("--keep", type=click.Path(file_okay=False, path_type=Path), help="Folder for films and sheets.")
def main(family: str, size: int, portrait: tuple[Path, ...], cut: bool, keep: Path | None) -> None:
    """Print the figures of every person's joins; with --keep leave films, and a sheet of 16 frames a join."""
    portraits = portrait or PORTRAITS
    with tempfile.TemporaryDirectory() as name:
        folder = keep or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        rows = []
        for film, firsts in films(portraits, family, size, folder, "cut" if cut else "dissolve"):
            change, small = changes(film)
            rows.append(figures(change, firsts))
            click.echo(json.dumps({"film": film.parent.name, "joins": firsts} | rows[-1]))
            for first in firsts if keep else ():
                tiles = small[max(0, first - AROUND[0]) : first + AROUND[1]]
                lines = [np.concatenate(tiles[at : at + 8], 1) for at in range(0, 16, 8)]
                Image.fromarray(np.concatenate(lines)).save(folder / f"{film.parent.name}-{first}.jpg", quality=90)
    worst, border = (max(row[name] for row in rows) for name in ("ratio", "ratio_border"))
    click.echo(f"worst ratio {worst:.2f}, at a border {border:.2f}")


if __name__ == "__main__":
    main()
