"""`python -m benchmarks.gate FAMILY`: what the gate costs, whether all passes that is right, and what it finds else.

People speak, through the family's own parts, clip after clip; every GOP is looked at as a chain worker does before it
commits one, and once more with each of the faults that `FAULTS` plants. Prints the range of every measure, GOPs of
sound films that were refused (false alarms), faults that were found, and the time of the looks beside the chain's.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image

from benchmarks.talking.titles import sitter, spoken
from models.data.landmark_faces import portraits_of
from models.data.speech import Corpus
from models.faces.portrait import PortraitProblem
from models.families.gate import Gate, rounded
from models.families.protocol import ClipOptions, Family, Hints, Lane, Made
from models.families.registry import FAMILIES, load_part
from models.speech.spectrum import SAMPLES_A_FRAME
from models.speech.speech_level import speech_level
from models.weights.shipped import shipped_weights

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
CLIP, CLIPS = 16, 3
SPEEDS = (1.0, 0.86, 1.15, 0.93, 1.08)  # of the example's voice, where there is no corpus: other people, in a way
PROMPTS = (None, "smiling", None, "surprised, head turned to the left", "angry", None, "head turned to the right")
PROMPTED = 17  # clips for which each of them holds

Fault = Callable[[Made, Made], NDArray[Any]]
"""A GOP, and another person's at the same time -> its latents with the fault."""


class Speaker:
    """One person of a family who says `speech` [s] at 16 kHz, GOP after GOP; `seconds`: of the chain, so far."""

    def __init__(
        self,
        family: Family,
        parts: tuple[Any, Any],
        person: Any,
        speech: torch.Tensor,
        seed: int,
        prompts: tuple[str | None, ...] = PROMPTS,
    ) -> None:
        self._family, self._seed, self._prompts = family, seed, prompts
        (prepare, self._chain), (picture, hints) = parts, person
        self._options = ClipOptions(family.default_steps, family.default_guidance, family.base_sizes[0])
        self.given, _ = prepare.conditioning(picture, self._options.base_size, hints)
        self.gops = len(speech) // SAMPLES_A_FRAME // (CLIP * CLIPS)
        frames = self.gops * CLIP * CLIPS
        wave = speech[: frames * SAMPLES_A_FRAME].numpy()
        heard = prepare.features(wave, 0, frames, 0, 0, speech_level([wave]))
        reach = family.feature_reach
        self._heard = np.concatenate([heard[:1].repeat(reach, 0), heard, heard[-1:].repeat(reach, 0)])
        self.seconds = 0.0

    def made(self) -> Iterator[Made]:
        state, reach = self._chain.start(self.given, self._seed, self._options.base_size), self._family.feature_reach
        for gop in range(self.gops):
            before, latents = state, []
            began = time.perf_counter()
            for clip in range(gop * CLIPS, gop * CLIPS + CLIPS):
                heard = self._heard[clip * CLIP : (clip + 1) * CLIP + 2 * reach]
                text = self._prompts[(self._seed + clip // PROMPTED) % len(self._prompts)]
                lane = Lane(self._seed, clip, self.given, state, heard, text, self._options)
                ((found, state),) = self._chain.next_clip([lane])
                latents.append(found)
            self.seconds += time.perf_counter() - began
            first = gop * CLIPS * CLIP + reach
            heard = self._heard[first : first + CLIPS * CLIP]
            yield Made(np.concatenate(latents), heard, before, self.given, self._options)


def _noisy(made: Made, by: float) -> NDArray[Any]:
    random = np.random.default_rng(len(made.latents))
    noisy = made.latents + by * random.standard_normal(made.latents.shape)
    return noisy.astype(made.latents.dtype)


def _faded(made: Made, kept: float) -> NDArray[Any]:
    """Drawn: towards the mean colour. Moved: towards nothing that moves."""
    latents = made.latents.astype(np.float32)
    mean = latents.mean((2, 3), keepdims=True) if _is_drawn(made) else 0
    return np.asarray(mean + kept * (latents - mean), made.latents.dtype)


def _with_frame(made: Made, frame: NDArray[Any], at: int) -> NDArray[Any]:
    latents = made.latents.copy()
    latents[at] = frame
    return latents


def _black(made: Made) -> NDArray[Any]:
    """One frame: black is twice as dark as grey, whose colours are 0 (`models.autoencoder.cosines`)."""
    frame = np.zeros_like(made.latents[0])
    frame[:3] = -2
    return frame


def _torn(made: Made) -> NDArray[Any]:
    """The lower half of all frames is half a second late, a quarter to the side."""
    latents, half = made.latents.copy(), made.latents.shape[2] // 2
    latents[:, :, half:] = np.roll(np.roll(latents[:, :, half:], 12, 0), latents.shape[3] // 4, 3)
    return latents


def _is_drawn(made: Made) -> bool:
    return "motion" in made.before


def _mute(made: Made) -> NDArray[Any]:
    """Lips as they are in the first frame."""
    latents = made.latents.copy()
    x0, y0, x1, y1 = (int(edge) for edge in made.conditioning["lip_box"] * (latents.shape[-1] / made.options.base_size))
    latents[:, :, y0 : y1 + 1, x0 : x1 + 1] = latents[:1, :, y0 : y1 + 1, x0 : x1 + 1]
    return latents


def _silenced(made: Made) -> NDArray[Any]:
    """What is told beside the flow as it is in the first frame: lips do what the flow does to them."""
    latents = made.latents.copy()
    latents[:, 2] = latents[:1, 2]
    return latents


DRAWN: dict[str, Fault] = {
    "faded to a half": lambda made, other: _faded(made, 0.5),
    "noise, a third of what latents spread by": lambda made, other: _noisy(made, 0.33),
    "another person": lambda made, other: other.latents,
    "a black frame": lambda made, other: _with_frame(made, _black(made), 20),
    "black": lambda made, other: np.stack([_black(made)] * len(made.latents)),
    "a frozen frame": lambda made, other: _with_frame(made, made.latents[19], 20),
    "frozen": lambda made, other: made.latents[:1].repeat(len(made.latents), 0),
    "torn": lambda made, other: _torn(made),
    "a mouth that stands still": lambda made, other: _mute(made),
}
MOVED: dict[str, Fault] = {
    "faded to a tenth": lambda made, other: _faded(made, 0.1),
    "noise of 3 pixels": lambda made, other: _noisy(made, 3.0),
    "another person's": lambda made, other: other.latents,
    "nothing moves": lambda made, other: np.zeros_like(made.latents),
    "frozen": lambda made, other: made.latents[:1].repeat(len(made.latents), 0),
    "torn": lambda made, other: _torn(made),
    "three times too far": lambda made, other: _faded(made, 3.0),
    "lips that stand still": lambda made, other: _silenced(made),
    "backwards": lambda made, other: made.latents[::-1].copy(),
    "a frame of nothing": lambda made, other: _with_frame(made, np.zeros_like(made.latents[0]), 20),
}


def people(family: str, count: int, faces: Path | None) -> list[tuple[NDArray[np.uint8], Hints]]:
    """Drawn people for `mini`; for `photo` the examples, then portraits of the test split of a folder."""
    if family == "mini":
        drawn = [sitter(number) for number in range(count)]
        return [(one.picture, Hints(one.face_box, one.lip_box)) for one in drawn]
    found = [np.asarray(Image.open(EXAMPLES / name).convert("RGB")) for name in ("photograph.png", "painting.png")]
    if faces is not None:
        found += [one.picture() for one in portraits_of(faces, "test", movable=True)[: max(0, count - len(found))]]
    return [(picture, Hints()) for picture in found[:count]]


def voice(frames: int, number: int, corpus: Corpus | None) -> torch.Tensor:
    if corpus is not None:
        return corpus.stretch(number, frames)
    speed = SPEEDS[number % len(SPEEDS)]
    said = spoken(int(frames * speed) + 1, None, number)
    return F.interpolate(said[None, None], scale_factor=1 / speed, mode="linear")[0, 0, : frames * SAMPLES_A_FRAME]


def odd_sounds(frames: int) -> dict[str, torch.Tensor]:
    """What is no ordinary speech, and is asked for all the same."""
    said = spoken(frames, None)
    noise = torch.randn(len(said), generator=torch.Generator().manual_seed(0))
    tone = torch.sin(torch.arange(len(said)) * (2 * torch.pi * 220 / 16_000))
    pauseless = torch.cat([part for part in said.split(1600) if part.abs().max() > 0.05])
    return {
        "silence": torch.zeros_like(said),
        "noise": 0.3 * noise,
        "a tone that swells": 0.3 * tone * torch.linspace(0, 1, len(said)),
        "speech, clipped": (said * 20).clamp(-1, 1),
        "speech without pauses": pauseless.repeat(3)[: len(said)],
        "speech, then nothing": torch.cat([said[: len(said) // 2], torch.zeros(len(said) - len(said) // 2)]),
    }


@click.command()
@click.argument("name", metavar="FAMILY", type=click.Choice(["photo", "mini"]))
@click.option("--minutes", default=1.0, help="That each of them speaks.")
@click.option("--people", "count", default=4)
@click.option("--faces", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Folder of portraits.")
@click.option("--speech", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Folder of recordings.")
@click.option("--prompts/--no-prompts", default=True, help="Whether expressions are asked for, one after the other.")
@click.option(
    "--again", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Judge measures kept before."
)
@click.option("--keep", type=click.Path(dir_okay=False, path_type=Path), help="File for the measures of every GOP.")
def main(
    name: str,
    minutes: float,
    count: int,
    faces: Path | None,
    speech: Path | None,
    prompts: bool,
    again: Path | None,
    keep: Path | None,
) -> None:
    """Cost, false alarms and planted faults of a family's gate."""
    torch.set_num_threads(1)
    family = FAMILIES[name]
    gate = family.gate or Gate(0, ())
    if again:
        rows = [json.loads(line) for line in again.read_text().splitlines()]
    else:
        rows = list(_measured(family, minutes, people(name, count, faces), Corpus(speech) if speech else None, prompts))
    if keep:
        keep.write_text("\n".join(map(json.dumps, rows)))
    _print(name, gate, rows)


def _measured(
    family: Family, minutes: float, persons: list[Any], corpus: Corpus | None, prompts: bool
) -> Iterator[dict[str, Any]]:
    """A row a GOP: who, which, what was measured of it and of it with each fault, seconds of the chain and of the look.

    At last rows of GOPs of odd sounds.
    """
    weights, faults = shipped_weights(family.name), MOVED if family.moves else DRAWN
    prepare, chain = (load_part(family, part, weights, "cpu") for part in ("prepare", "chain"))
    asked, frames = PROMPTS if prompts else (None,), int(minutes * 1500)
    strangers = [
        list(Speaker(family, (prepare, chain), person, voice(480, 0, corpus), 0).made()) for person in persons[:2]
    ]
    for number, person in enumerate(persons):
        try:
            speaker = Speaker(family, (prepare, chain), person, voice(frames, number, corpus), number, asked)
        except PortraitProblem as error:
            click.echo(f"  person {number} is left out: {error}")
            continue
        before = 0.0
        for gop, made in enumerate(speaker.made()):
            began = time.perf_counter()
            looked = rounded(chain.look(made))
            row: dict[str, Any] = {"person": number, "gop": gop, "looked": looked}
            row |= {"look": time.perf_counter() - began, "chain": speaker.seconds - before}
            before = speaker.seconds
            if gop % 5 == 2:
                stranger = strangers[1 if number == 0 and len(persons) > 1 else 0][gop % 10]
                spoiled = {what: replace(made, latents=do(made, stranger)) for what, do in faults.items()}
                row["faults"] = {what: rounded(chain.look(one)) for what, one in spoiled.items()}
            yield row
    for what, sound in odd_sounds(960).items():
        for made in Speaker(family, (prepare, chain), persons[0], sound, 0, asked).made():
            yield {"odd": what, "looked": rounded(chain.look(made))}


def _print(name: str, gate: Gate, found_rows: list[dict[str, Any]]) -> None:
    rows = [row for row in found_rows if "person" in row]
    frames, count = len(rows) * CLIP * CLIPS, len({row["person"] for row in rows})
    click.echo(f"{name}: {count} people, {frames / 1500:.1f} minutes, {len(rows)} GOPs")
    click.echo(f"  {'measure':12}{'least':>10}{'1 %':>10}{'median':>10}{'99 %':>10}{'most':>10}   limit")
    for measure in dict.fromkeys(key for row in rows for key in row["looked"]):
        values = np.array([row["looked"][measure] for row in rows if measure in row["looked"]], float)
        shown = np.quantile(values, (0, 0.01, 0.5, 0.99, 1))
        limits = [one for one in gate.limits if one.name == measure]
        text = ", ".join(f"{one.least} to {one.most}" for one in limits)
        click.echo(f"  {measure:12}" + "".join(f"{value:10.4f}" for value in shown) + f"   {text}")
    refused = [row for row in rows if gate.outside(row["looked"])]
    click.echo(f"  false alarms: {len(refused)} of {len(rows)} GOPs")
    for row in refused[:10]:
        click.echo(f"    person {row['person']}, GOP {row['gop']}: {gate.outside(row['looked'])}")
    spoiled = [row["faults"] for row in rows if "faults" in row]
    for what in spoiled[0] if spoiled else ():
        found = [gate.outside(one[what]) for one in spoiled]
        by = sorted({measure for one in found for measure in one})
        click.echo(f"  {what}: {sum(map(bool, found))} of {len(found)} found, by {', '.join(by) or 'nothing'}")
    for what in dict.fromkeys(row["odd"] for row in found_rows if "odd" in row):
        looks = [gate.outside(row["looked"]) for row in found_rows if row.get("odd") == what]
        by = sorted({measure for one in looks for measure in one})
        click.echo(f"  {what}: {sum(map(bool, looks))} of {len(looks)} GOPs refused{', by ' * bool(by)}{', '.join(by)}")
    chained, looking = sum(row["chain"] for row in rows), sum(row["look"] for row in rows)
    chain_ms, look_ms = 1000 * chained / frames, 1000 * looking / frames
    click.echo(f"  chain {chain_ms:.3f} ms a frame, looks {look_ms:.3f} ms: {1 + looking / chained:.4f} of it without")


if __name__ == "__main__":
    main()
