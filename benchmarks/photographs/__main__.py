"""`python -m benchmarks.photographs COMMAND …`: figures of people of the test split, as JSON.

- `hour` runs an hour of speech and says of every minute whether the person is still the same, and as lively.
- `kinds` makes a sheet of portraits of many kinds that speak.
- `landmarks` reads portraits in framings of their own, pictures without a face and with two.
- `movement` lets the network say how photographs move to speech that training has not heard, and compares frames with
  the puppet's; `--keep` writes films.
- `mouths` compares the inside of mouths with the puppet's.
- `speaking` makes films as users get them, a framing for every person, and measures them by networks that had no part
  in it (`pipeline.checks.sensors`).
- `closing` says written sentences and looks whether lips meet at p, b and m.
- `cost` says what a frame takes, stage by stage, beside family `mini`.
- `prompts` asks for eight expressions and two turns, and lets a classifier of landmarks name what is seen.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

import click
import numpy as np
import torch
from PIL import Image

from benchmarks.photographs.closing import closing as lips_meeting
from benchmarks.photographs.cost import cost_of
from benchmarks.photographs.hour import hour as minutes_of
from benchmarks.photographs.hour import hour_in_scenes
from benchmarks.photographs.kinds import kinds as all_kinds
from benchmarks.photographs.kinds import sheet as kinds_sheet
from benchmarks.photographs.mouths import Perceptual, inside_figures, mouths_of, sheet
from benchmarks.photographs.movement import films, moved_figures
from benchmarks.photographs.prompts import figures, kept, of_films, of_puppets
from benchmarks.photographs.reading import reading_figures
from benchmarks.photographs.speaking import speaking as speaking_films
from benchmarks.photographs.speaking import summary
from benchmarks.photographs.strangers import Strangers
from models.data.landmark_faces import portraits_of
from models.data.speech import read_recording
from models.weights.shipped import shipped_weights
from pipeline.checks.sensors.measured import SHOWN, AnyVideo, watching

FACES = click.option("--faces", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
WEIGHTS = click.option("--weights", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
SPLIT = click.option("--split", type=click.Choice(["validation", "test"]), default="test")


@click.group()
def main() -> None:
    """Figures of photographs."""
    torch.set_num_threads(1)


@main.command()
@FACES
@WEIGHTS
@SPLIT
@click.option("--framings", default=3, help="Of every portrait.")
def landmarks(faces: Path, weights: Path, split: str, framings: int) -> None:
    """How well faces are found, and their points."""
    click.echo(json.dumps(reading_figures(faces, weights, split, framings), indent=1))


@main.command()
@FACES
@WEIGHTS
@SPLIT
@click.option("--speech", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--vae", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True)
@click.option("--people", default=4)
@click.option("--frames", default=100)
@click.option("--keep", type=click.Path(file_okay=False, path_type=Path), help="Folder for the films, not for others.")
def movement(
    faces: Path, weights: Path, split: str, speech: Path, vae: Path, people: int, frames: int, keep: Path | None
) -> None:
    """How photographs move to a recording, beside their puppets."""
    found = []
    for film in films(faces, weights, vae, split, speech, people, frames):
        found.append(moved_figures(film))
        if keep is not None:
            film.write(keep)
    names = [name for name in found[0] if name != "name"]
    mean = {name: sum(row[name] for row in found) / len(found) for name in names}
    click.echo(json.dumps({"people": found, "mean": mean}, indent=1))


@main.command()
@FACES
@click.option("--weights", default=lambda: shipped_weights("photo"), help="Folder; the shipped ones where not given.")
@SPLIT
@click.option("--speech", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--people", default=12)
@click.option("--frames", default=100)
@click.option("--keep", type=click.Path(file_okay=False, path_type=Path), help="Folder for sheets, not for others.")
def mouths(faces: Path, weights: str, split: str, speech: Path, people: int, frames: int, keep: Path | None) -> None:
    """The inside of mouths beside the puppet's."""
    perceptual, found = Perceptual(), []
    files = Path(weights) / "movement.safetensors", Path(weights) / "vae.safetensors"
    for one in mouths_of(faces, *files, split, speech, people, frames):
        found.append(inside_figures(one, perceptual))
        click.echo(json.dumps(found[-1]), err=True)
        if keep is not None:
            sheet(one, keep)
    click.echo(json.dumps({"people": found, "all": summary(found)}, indent=1))


@main.command()
@FACES
@click.option("--weights", default=lambda: shipped_weights("photo"), help="Folder; the shipped ones where not given.")
@SPLIT
@click.option("--speech", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--people", default=12)
@click.option("--size", default=1024, help="Pixels of the shorter edge.")
@click.option("--keep", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder for the films.")
def speaking(faces: Path, weights: str, split: str, speech: Path, people: int, size: int, keep: Path) -> None:
    """Films of photographs in every framing, and what networks say of them."""
    rows = []
    with watching(None, lambda text: click.echo(text, err=True)) as watch:
        strangers = Strangers.of(faces, watch.sensors)
        for name, film, portrait in speaking_films(faces, weights, split, speech, people, size, keep):
            found = watch.video(AnyVideo(film, portrait, speech))
            near = strangers.margin(name, film, watch.sensors)
            rows.append({"name": name, **{key: found.get(key) for key, _ in SHOWN}, **near})
            click.echo(json.dumps(rows[-1]), err=True)
    click.echo(json.dumps({"people": rows, "all": summary(rows)}, indent=1))


@main.command()
@FACES
@click.option("--weights", default=lambda: shipped_weights("photo"), help="Folder; the shipped ones where not given.")
@click.option("--speech", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--fitted-on", default=40, help="People of the train split.")
@click.option("--people", default=12, help="Of the test split.")
@click.option("--keep", type=click.Path(file_okay=False, path_type=Path), help="Folder for what was read of puppets.")
def prompts(faces: Path, weights: str, speech: Path, fitted_on: int, people: int, keep: Path | None) -> None:
    """Whether what a prompt asks for is seen, on puppets and in films."""
    train_file, test_file = (None if keep is None else keep / f"{name}.npz" for name in ("train", "test"))
    wave = read_recording(speech)
    train = list(portraits_of(faces, "train", movable=True))[:fitted_on]
    test = list(portraits_of(faces, "test", movable=True))[:people]
    with watching(None, lambda text: click.echo(text, err=True)) as watch:
        known = kept(train_file, lambda: of_puppets(train, wave, watch.sensors))
        puppets = kept(test_file, lambda: of_puppets(test, wave, watch.sensors))
        films = list(of_films(test, wave, weights, watch.sensors))
    click.echo(json.dumps(figures(known, puppets, films), indent=1))


@main.command()
@click.option("--size", "sizes", type=click.IntRange(256, 4096), multiple=True, default=(1024, 2160, 4096))
@click.option("--family", "families", type=click.Choice(["photo", "mini"]), multiple=True, default=("mini", "photo"))
def cost(sizes: tuple[int, ...], families: tuple[str, ...]) -> None:
    """Milliseconds of one core a frame, stage by stage."""
    for size in sizes:
        for family in families:
            click.echo(json.dumps(cost_of(family, size)))


@main.command()
@click.option("--weights", default=lambda: shipped_weights("photo"), help="Folder; the shipped ones where not given.")
@click.option("--portrait", default="examples/photograph.png", type=click.Path(exists=True, dir_okay=False))
@click.option("--keep", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder for the films.")
def closing(weights: str, portrait: str, keep: Path) -> None:
    """Whether lips meet at p, b and m of written sentences; needs espeak-ng."""
    picture = np.asarray(Image.open(portrait).convert("RGB"))
    with watching(None, lambda text: click.echo(text, err=True)) as watch:
        click.echo(json.dumps(lips_meeting(picture, weights, watch.sensors, keep), indent=1))


@main.command()
@FACES
@click.option("--weights", default=lambda: shipped_weights("photo"), help="Folder; the shipped ones where not given.")
@click.option("--speech", default="examples/speech.flac", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("target", type=click.Path(dir_okay=False, path_type=Path))
def kinds(faces: Path, weights: str, speech: Path, target: Path) -> None:
    """A sheet of portraits of many kinds, as they are and speaking."""
    kinds_sheet(all_kinds(faces), weights, read_recording(speech), target)


@main.command()
@click.option("--weights", default=lambda: shipped_weights("photo"), help="Folder; the shipped ones where not given.")
@click.option("--portrait", default="examples/photograph.png", type=click.Path(exists=True, dir_okay=False))
@click.option("--speech", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--size", default=512, help="Pixels of the shorter edge.")
@click.option("--scenes", type=int, metavar="MINUTES", help="In scenes of about so many minutes; else in one piece.")
def hour(weights: str, portrait: str, speech: Path, size: int, scenes: int | None) -> None:
    """A row a minute of long speech, then the worst of each."""
    made = partial(hour_in_scenes, minutes=scenes) if scenes else minutes_of
    picture, rows = np.asarray(Image.open(portrait).convert("RGB")), []
    with watching(None, lambda text: click.echo(text, err=True)) as watch:
        for row in made(picture, read_recording(speech), weights, size, watch.sensors):
            rows.append(row)
            click.echo(json.dumps(row), err=True)
    click.echo(json.dumps({"minutes": rows, "all": summary(rows)}, indent=1))


if __name__ == "__main__":
    sys.exit(main())
