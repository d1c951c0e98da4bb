"""`python -m benchmarks.run audio [--minutes M]`: what hearing a minute of speech costs.

Log-mel spectra, as `mini` hears; with `--full` also wav2vec at its published size, as `hallo2` hears, with weights by
rule. Then the windows around frames that a chain asks for: gathered a clip at a time, as we do, against made for the
whole title at once; `ratio` is the bytes held of the second over the first.
"""

from __future__ import annotations

from typing import Any

import click
import torch

from benchmarks.interleaved import interleaved
from benchmarks.told import tell
from models.families.registry import FAMILIES
from models.speech import spectrum
from models.speech.spectrum import SAMPLES_A_FRAME
from models.speech.wav2vec import SpeechFeatures, audio_windows, normalise
from models.weights.synthetic import fill
from pipeline.core.timeline import FPS

CLIP = 16  # frames


@torch.no_grad()
def measure(minutes: float, full: bool) -> dict[str, Any]:
    frames = int(minutes * 60 * FPS) // CLIP * CLIP
    minute = 60 * FPS
    speech = torch.randn(minute * SAMPLES_A_FRAME, generator=torch.Generator().manual_seed(1)) / 10
    ways = {"spectra": lambda: spectrum.heard(speech)}
    if full:
        network = fill(SpeechFeatures()).eval()
        ways["wav2vec"] = lambda: network(normalise(speech), minute)
    seconds = {name: min(runs) for name, runs in interleaved(ways, 3).items()}
    networks = FAMILIES["mini"].networks
    assert networks is not None
    heard = networks.chain.audio_projection
    features = torch.zeros(frames, heard.layers, heard.feature_width)
    radius = heard.window // 2
    whole = audio_windows(features, 0, frames, radius=radius)
    clip = audio_windows(features, 0, CLIP, radius=radius)
    gathered = interleaved(
        {
            "clips": lambda: [audio_windows(features, at, CLIP, radius=radius) for at in range(0, frames, CLIP)],
            "whole": lambda: audio_windows(features, 0, frames, radius=radius),
        },
        5,
    )
    return {
        "seconds_a_minute": seconds,
        "features_bytes_a_minute": features.nbytes / minutes,
        "windows": {
            "clips": {"bytes": clip.nbytes, "seconds": min(gathered["clips"])},
            "whole": {"bytes": whole.nbytes, "seconds": min(gathered["whole"])},
        },
        "ratio": whole.nbytes / clip.nbytes,
    }


@click.command()
@click.option("--minutes", type=click.FloatRange(0.1), default=10.0, show_default=True, help="Length of the title.")
@click.option("--full", is_flag=True, help="wav2vec at its published size too.")
@click.option("--json", "as_json", is_flag=True)
def main(minutes: float, full: bool, as_json: bool) -> None:
    """Seconds that hearing speech takes, and what the windows around frames hold."""
    found = measure(minutes, full)
    table: list[tuple[object, ...]] = [("a minute of speech", "seconds")]
    table += [(name, f"{seconds:.3f}") for name, seconds in found["seconds_a_minute"].items()]
    table.append((f"windows of {minutes:g} minutes", "seconds", "MiB held"))
    for name, one in found["windows"].items():
        table.append((name, f"{one['seconds']:.3f}", f"{one['bytes'] / 2**20:.2f}"))
    tell("audio", found, table, as_json)
