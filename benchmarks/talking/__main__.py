"""`python -m benchmarks.talking`: what a family's talking portraits are worth.

A person whom no training has seen says what no training has heard, rendered as users render (`pipeline.render`,
inline). Without further options: the mouth against the sound, with its controls. `--minutes N`: drift and liveliness
over N minutes. `--prompts`: expressions and turns of the head as asked for, and a change in mid-title. All is measured
by fixed formulas, prompts by a network of stage `expression`. Exit 1 where a figure misses what is asked of it.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

import click
import torch

from benchmarks.talking.figures import Figure, as_json, missed, show
from benchmarks.talking.minutes import minutes as over_minutes
from benchmarks.talking.prompts import prompts as of_prompts
from benchmarks.talking.speech import speech as of_speech
from benchmarks.talking.titles import Asked
from models.data.speech import Corpus
from models.families.registry import FAMILIES

READER = Path(__file__).resolve().parents[2] / "models" / "training" / "reached" / "expression.safetensors"


@click.command()
@click.option("--weights", help="Folder of the family's weights; default: those that are shipped.")
@click.option("--family", type=click.Choice(sorted(FAMILIES)), default="mini", show_default=True)
@click.option("--person", type=int, default=29, show_default=True, help="Number of an identity of the test split.")
@click.option("--speech", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Folder of recordings, "
              "see docs/training.md; default: examples/speech.flac, again and again.")  # fmt: skip
@click.option("--held-out", multiple=True, default=("en_US_f_Allison", "es_MX_f_Allison"), show_default=True)
@click.option("--seconds", type=float, default=8.32, show_default=True, help="Length where no minutes are given.")
@click.option("--minutes", type=float, help="Measure drift over so many minutes.")
@click.option("--prompts", is_flag=True, help="Measure expressions and turns of the head.")
@click.option("--people", type=int, default=2, show_default=True, help="With --prompts, from --person on.")
@click.option("--unknown-words", is_flag=True, help="With --prompts, in words that training has kept out.")
@click.option(
    "--reader", type=click.Path(dir_okay=False, path_type=Path), default=READER, help="File of stage expression."
)
@click.option("--face", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="File of stage face: reads "
              "identity over minutes as well.")  # fmt: skip
@click.option("--truth-seconds", type=float, default=60.0, show_default=True, help="Length of the renderer's own film.")
@click.option("--resolution", type=int, help="Default: 1024; 512 with --minutes and --prompts.")
@click.option("--base-size", type=int, default=512, show_default=True)
@click.option("--steps", type=int, help="Of sampling; default: the family's.")
@click.option("--background", type=click.Choice(["x2", "lanczos"]), default="x2", show_default=True)
@click.option(
    "--keep", type=click.Path(file_okay=False, path_type=Path), help="Render here, and go on from what is here."
)
@click.option("--json", "json_out", is_flag=True)
def main(
    weights: str | None, family: str, person: int, speech: Path | None, held_out: tuple[str, ...], seconds: float,
    minutes: float | None, prompts: bool, people: int, reader: Path, face: Path | None, truth_seconds: float,
    unknown_words: bool, resolution: int | None, base_size: int, steps: int | None, background: str, keep: Path | None,
    json_out: bool,
) -> None:  # fmt: skip
    """Measure talking portraits of people whom no training has seen."""
    torch.set_num_threads(1)
    if prompts and not reader.exists():
        raise click.UsageError(f"{reader} does not exist: train stage expression (docs/training.md), or give --reader")
    corpus = Corpus(speech, held_out) if speech else None
    size = resolution or (512 if minutes or prompts else 1024)
    started = time.monotonic()
    with nullcontext(str(keep)) if keep else tempfile.TemporaryDirectory(prefix="longtake-talking-") as folder:
        asked = Asked(Path(folder), weights, family, size, base_size, steps, background)
        figures: list[Figure]
        if prompts:
            title = "prompts in words that training kept out" if unknown_words else "prompts"
            figures = of_prompts(asked, people, person, corpus, reader, unknown=unknown_words)
        elif minutes:
            title, figures = f"{minutes:g} minutes", over_minutes(asked, person, minutes, corpus, face, truth_seconds)
        else:
            title, figures = "speech", of_speech(asked, person, seconds, corpus)
    figures.append(Figure("seconds taken", round(time.monotonic() - started, 1)))
    if json_out:
        click.echo(json.dumps(as_json(figures)))
    else:
        show(f"{title}, person {person}, at {size}: value, what is asked, whether it is met", figures)
    sys.exit(1 if missed(figures) else 0)


if __name__ == "__main__":
    main()
