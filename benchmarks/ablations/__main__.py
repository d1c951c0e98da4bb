"""`python -m benchmarks.ablations CONFIG`: patch drop and noise on motion frames, in miniature.

Every arm is trained from the same weights on the same data with the same seed and steps; then each rolls out minutes of
people whom no training has seen, and what has drifted at the end is measured. Training, roll-outs and measures that are
there already stay: run it again to go on.
"""

from __future__ import annotations

import json
from pathlib import Path

import click
import torch

from benchmarks.ablations.arms import ARMS, Arm
from benchmarks.ablations.drift import drift, table
from benchmarks.ablations.rollouts import latents_of, roll_out
from benchmarks.talking.latents import CLIP
from benchmarks.talking.minutes import measures_of
from benchmarks.talking.titles import spoken
from models.data.speech import Corpus
from models.parts.prepare import Prepare
from models.training.run import train
from models.training.settings import BadSettings, Settings, read_settings

BASE = "models/training/configs/ablation_cpu.yaml"


@click.command()
@click.argument("config", type=click.Path(exists=True, dir_okay=False, path_type=Path), default=BASE)
@click.option("--arm", "names", multiple=True, type=click.Choice([arm.name for arm in ARMS]), help="Only these.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="In place of the configuration's.")
@click.option("--steps", type=click.IntRange(min=1), help="Of training, in place of the configuration's.")
@click.option("--minutes", type=float, default=4.0, show_default=True, help="Of every roll-out.")
@click.option("--people", type=click.IntRange(min=1), default=8, show_default=True)
@click.option("--speech", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Folder of recordings; "
              "default: examples/speech.flac, again and again.")  # fmt: skip
@click.option("--held-out", multiple=True, default=("en_US_f_Allison", "es_MX_f_Allison"), show_default=True)
@click.option("--sampling-steps", type=click.IntRange(min=1), default=4, show_default=True)
def main(
    config: Path, names: tuple[str, ...], out: Path | None, steps: int | None, minutes: float, people: int,
    speech: Path | None, held_out: tuple[str, ...], sampling_steps: int,
) -> None:  # fmt: skip
    """Train all arms of CONFIG, roll them out, and print what has drifted."""
    try:
        base = read_settings(config, out=str(out) if out else None)
        if base.stage != "chain2":
            raise BadSettings(f"stage is {base.stage}: the arms differ in stage chain2 only")
    except BadSettings as error:
        raise click.UsageError(str(error)) from error
    corpus = Corpus(speech, held_out) if speech else None
    clips = max(2, round(minutes * 60 * 25 / CLIP))
    found = {}
    for arm in ARMS:
        if names and arm.name not in names:
            continue
        weights = trained(arm, base, steps)
        folder = Path(base.out)
        paths = roll_out(
            arm, weights, Path(base.options["vae"]), folder / "rollouts", list(range(people)), clips, corpus,
            sampling_steps,
        )  # fmt: skip
        found[arm.name] = [_measured(path, weights, person, corpus) for person, path in enumerate(paths)]
        click.echo(f"{arm.name}: measured", err=True)
    text = table(found)
    click.echo(f"{clips * CLIP} frames of each of {people} people\n\n{text}")
    (Path(base.out) / "table.md").write_text(text + "\n")


def trained(arm: Arm, base: Settings, steps: int | None) -> Path:
    """The arm's folder of weights, trained to the end."""
    settings = arm.settings(base, Path(base.out) / "arms" / arm.name, steps)
    try:
        run = train(settings)
    except BadSettings as error:
        raise click.UsageError(f"{arm.name}: {error}") from error
    if run.step < settings.steps:
        raise click.ClickException(f"{arm.name}: stopped at step {run.step}; the same command goes on from there")
    return Path(settings.out) / "weights"


def _measured(path: Path, weights: Path, person: int, corpus: Corpus | None) -> dict[str, float]:
    kept = path.with_suffix(".json")
    if not kept.exists():
        latents = latents_of(path)
        vae = Prepare(ARMS[0].family(), str(weights), "cpu").ready("vae")
        torch.set_num_threads(1)
        found = drift(latents, person, measures_of(spoken(len(latents), corpus, person)), vae)
        kept.write_text(json.dumps(found))
    measured: dict[str, float] = json.loads(kept.read_text())
    return measured


if __name__ == "__main__":
    main()
