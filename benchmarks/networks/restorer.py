"""`python -m benchmarks.networks.restorer --weights FOLDER`: what restorer and enlarger of `mini` are worth.

First, whole drawn portraits of people that training never saw, 16 frames a clip, spoiled as training spoils them, are
brought to `--resolution` three ways: by Lanczos, by the networks with every frame restored by itself, and by the
networks with windows of 16. Printed are PSNR and gradient similarity to the portrait drawn at that size, and flicker:
the mean difference from the frame before, moved as the true clip moves.

Then, for every `--large` size, `--seconds` of one such clip are enlarged, encoded and decoded again. PSNR and the
energy of high frequencies (as a share of the truth's) are measured in the quarter of the picture around the face.

The folder holds `restorer.safetensors` and `enlarger.safetensors`, and `vae.safetensors` where clips are to go
through the autoencoder first.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from models.data.clips import Moves
from models.data.degradation import draw_spoiling, spoil
from models.data.portrait_crops import People, tiled
from models.drawn.identity import Identity
from models.drawn.pose import Pose
from models.drawn.truth import face_box
from models.families.mini import MINI
from models.image.resample import resize_lanczos
from models.image.yuv import yuv420p
from models.restoration.upscale import Upscaler
from models.training.measures import fine_energy, flicker, gradient_similarity, psnr
from models.weights.recipes import RECIPES
from pipeline.core.timeline import GOP, gops_of
from pipeline.core.windows import LENGTH, gop_windows
from pipeline.media.encode import Encoding, decode_frames, encode_gop

BASE = 512
WAYS = ("lanczos", "alone", "window")
ROW = "{:10}{:>10}{:>12}{:>12}{:>12}"


@dataclass(frozen=True)
class Clip:
    person: Identity
    """Of one row."""
    held: Pose
    """Of every frame."""
    given: Tensor
    """Spoiled frames [f 3 512 512]."""


class Networks:
    def __init__(self, folder: Path, device: torch.device) -> None:
        restorer, enlarger = (self._loaded(name, folder / f"{name}.safetensors") for name in ("restorer", "enlarger"))
        self.upscaler = Upscaler(MINI.upscale, restorer.to(device), enlarger.to(device))
        path = folder / "vae.safetensors"
        self.autoencoder = self._loaded("vae", path).to(device) if path.exists() else None

    def __call__(self, clip: Tensor, way: str, size: int, fidelity: float) -> Iterator[Tensor]:
        """[f 3 512 512] -> pictures [3 size size], one after another."""
        if way == "lanczos":
            for frame in clip:
                yield resize_lanczos(frame[None], (size, size))[0].clamp(0, 1)
            return
        if way == "alone":
            for frame in clip:
                yield next(self.upscaler.frames(frame[None], size, fidelity, "x2")).picture
            return
        for window in (window for gop in range(gops_of(len(clip))) for window in gop_windows(gop, len(clip))):
            places = window.owned_places
            kept = slice(places.start, places.stop)
            for made in self.upscaler.frames(clip[list(window.reads)], size, fidelity, "x2", keep=kept):
                yield made.picture

    @staticmethod
    def _loaded(name: str, path: Path) -> Any:
        if not path.exists():
            raise click.UsageError(f"{path} does not exist: train it (docs/training.md), or give another --weights")
        network = RECIPES[name].make(MINI)
        RECIPES[name].holder(network).load_state_dict({k: v.float() for k, v in load_file(path).items()})
        return network.eval().requires_grad_(False)


def clips(people: People, moves: Moves, number: int, frames: int, seed: int, autoencoder: Any) -> list[Clip]:
    """Whole portraits of the first people of the pool, spoiled."""
    generator = torch.Generator().manual_seed(seed)
    made = []
    for place in range(number):
        person = people.pool.rows(torch.tensor([place], device=people.device))
        held = moves.some(1, frames, generator).to(people.device)
        clean = drawn(people, person, held, BASE)
        given = spoil(clean[None], draw_spoiling(1, generator), generator, autoencoder)[0]
        made.append(Clip(person, held, given))
    return made


def drawn(people: People, person: Identity, held: Pose, size: int, crop: Tensor | None = None) -> Tensor:
    """Frames [f 3 size size] of one person, one at a time."""
    pictures = []
    for number in range(len(held)):
        one = held.rows(torch.tensor([number], device=people.device))
        pictures.append(people.drawn(person, one, size, crop).picture)
    return torch.cat(pictures)


def compared(people: People, networks: Networks, shown: list[Clip], size: int, fidelity: float) -> dict[str, Any]:
    """Means over clips, by way and measure."""
    results: dict[str, dict[str, list[float]]] = {way: {"psnr": [], "edges": [], "flicker": []} for way in WAYS}
    for clip in shown:
        truth = drawn(people, clip.person, clip.held, size)
        for way in WAYS:
            made = torch.stack(list(networks(clip.given, way, size, fidelity)))
            results[way]["psnr"].append(psnr(made, truth))
            results[way]["edges"].append(gradient_similarity(made, truth))
            results[way]["flicker"].append(flicker(made, truth))
    return {way: {name: float(np.mean(v)) for name, v in found.items()} for way, found in results.items()}


def enlarged(
    people: People,
    networks: Networks,
    clip: Clip,
    size: int,
    codecs: tuple[str, ...],
    fidelity: float,
    out: Path | None,
) -> dict[str, Any]:
    """One clip at a large size: against the truth around the face, and through the encoders."""
    middle = len(clip.held) // 2
    one = clip.held.rows(torch.tensor([middle], device=people.device))
    box = face_box(clip.person, one)
    centre = ((box[:, :2] + box[:, 2:]) / 2).clamp(-0.75, 0.75)
    side = size // 4
    corner = ((centre[0] + 1) / 2 * size - side / 2).round().long().tolist()
    edges = torch.tensor([corner[0], corner[1], corner[0] + side, corner[1] + side], device=people.device)
    truth = people.drawn(clip.person, one, side, (edges * 2 / size - 1)[None]).picture
    rows, columns = slice(corner[1], corner[1] + side), slice(corner[0], corner[0] + side)
    facts: dict[str, Any] = {}
    planes, cuts = [], []
    for number, picture in enumerate(networks(clip.given, "window", size, fidelity)):
        planes.append(yuv420p(picture).cpu().numpy())
        if number == middle:
            cuts = [picture[None, :, rows, columns]]
    plain = next(networks(clip.given[middle : middle + 1], "lanczos", size, fidelity))
    cuts.append(plain[None, :, rows, columns])
    for name, cut in zip(("window", "lanczos"), cuts, strict=True):
        facts[name] = {"psnr": psnr(cut, truth), "fine": fine_energy(cut) / fine_energy(truth)}
    if out is not None:
        save(out / f"{size}.png", tiled([cuts[1], cuts[0], truth]))
    for codec in codecs:
        encoding = Encoding(codec, size, size, 30)
        shown = 0
        for start in range(0, len(planes), GOP):
            fragment = encode_gop(encoding, start, iter(planes[start : start + GOP]))
            decoded = list(decode_frames(fragment.init, [fragment.data]))
            shown += sum((frame.width, frame.height) == (size, size) for frame in decoded)
        facts[codec] = {"frames": len(planes), "decoded": shown}
    return facts


def save(path: Path, sheet: Tensor) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet.clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).cpu().numpy()).save(path)


@click.command()
@click.option("--weights", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--clips", "number", default=8, show_default=True, help="Unseen people, a clip of 16 frames each.")
@click.option("--resolution", default=1024, show_default=True)
@click.option("--fidelity", default=0.7, show_default=True)
@click.option("--large", multiple=True, type=int, help="Sizes to enlarge one clip to, such as 2048 and 4096.")
@click.option("--seconds", default=2.0, show_default=True, help="Of the clip that is enlarged.")
@click.option("--codec", "codecs", multiple=True, default=("h264", "av1"), show_default=True)
@click.option("--device", default="cpu", show_default=True)
@click.option("--sheets", type=click.Path(path_type=Path), help="Folder for pictures to look at.")
@click.option("--json", "as_json", is_flag=True)
@torch.inference_mode()
def main(
    weights: Path,
    number: int,
    resolution: int,
    fidelity: float,
    large: tuple[int, ...],
    seconds: float,
    codecs: tuple[str, ...],
    device: str,
    sheets: Path | None,
    as_json: bool,
) -> None:
    place = torch.device(device)
    networks = Networks(weights, place)
    people, moves = People.of("test", max(number, 1), place), Moves.of(1, 16)
    facts: dict[str, Any] = {"clips": number, "resolution": resolution, "fidelity": fidelity}
    facts["autoencoder"] = networks.autoencoder is not None
    if number:
        shown = clips(people, moves, number, LENGTH, 0, networks.autoencoder)
        facts["unseen"] = compared(people, networks, shown, resolution, fidelity)
        if sheets is not None:
            save(sheets / "unseen.png", _sheet(people, networks, shown[:4], resolution, fidelity))
    for size in large:
        clip = clips(people, moves, 1, round(25 * seconds), 1, networks.autoencoder)[0]
        facts[str(size)] = enlarged(people, networks, clip, size, codecs, fidelity, sheets)
    click.echo(json.dumps(facts, indent=1) if as_json else _table(facts))


def _sheet(people: People, networks: Networks, shown: list[Clip], size: int, fidelity: float) -> Tensor:
    """The middle frame of clips: Lanczos, by itself, with its window, true."""
    rows: list[list[Tensor]] = [[] for _ in range(4)]
    for clip in shown:
        middle = len(clip.held) // 2
        for row, way in zip(rows, WAYS, strict=False):
            row.append(list(networks(clip.given, way, size, fidelity))[middle])
        one = clip.held.rows(torch.tensor([middle], device=people.device))
        rows[3].append(drawn(people, clip.person, one, size)[0])
    return tiled([torch.stack(row) for row in rows])


def _table(facts: dict[str, Any]) -> str:
    lines = [f"{facts['clips']} unseen clips at {facts['resolution']}, fidelity {facts['fidelity']}, "
             f"{'with' if facts['autoencoder'] else 'without'} the autoencoder"]  # fmt: skip
    if "unseen" in facts:
        lines.append(ROW.format("", "PSNR", "edges", "flicker", ""))
        for way, found in facts["unseen"].items():
            lines.append(
                ROW.format(way, *(f"{found[n]:.{d}f}" for n, d in (("psnr", 2), ("edges", 4), ("flicker", 5))), "")
            )
    for size in (key for key in facts if key.isdigit()):
        lines.append(f"{size}: around the face")
        lines.append(ROW.format("", "PSNR", "fine", "", ""))
        for way in ("lanczos", "window"):
            found = facts[size][way]
            lines.append(ROW.format(way, f"{found['psnr']:.2f}", f"{found['fine']:.3f}", "", ""))
        codecs = (key for key in facts[size] if "decoded" in facts[size][key])
        lines += [f"  {c}: {facts[size][c]['decoded']} of {facts[size][c]['frames']} frames decoded" for c in codecs]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
