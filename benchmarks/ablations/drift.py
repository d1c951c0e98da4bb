"""How far a roll-out has drifted at its end, in numbers of each person, and what is sure about their mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.talking.latents import CLIP, decoded
from benchmarks.talking.titles import sitter
from benchmarks.talking.watched import fitted, regions
from models.measures import course as measures
from models.measures.frechet import frechet
from models.measures.picture import Picture, Seen, look

END = 250  # frames of the beginning and the end that are compared
CELLS = 2  # a side: latents are pooled to so few cells where distributions are compared
COLUMNS = ("identity lost", "grain", "sharpness", "colour", "spread of latents", "distance", "borders", "mouth r")
"""Identity lost and distance: 0 is none; grain, sharpness, spread: 1 is unchanged; colour: 0 is unchanged."""
DRAWS = 2000


@torch.inference_mode()
def drift(latents: Tensor, person: int, target: NDArray[np.float64], vae: Any) -> dict[str, float]:
    """latents [f 8 32 32] -> the COLUMNS of one roll-out."""
    end = min(END, len(latents) // 2)
    parts = [slice(0, end), slice(len(latents) - end, len(latents))]
    first, last = (_seen(vae, latents[part], person) for part in parts)
    step = (latents[1:] - latents[:-1]).abs().mean((1, 2, 3)).numpy()
    border = (np.arange(1, len(latents)) % CLIP) == 0
    pooled = [F.adaptive_avg_pool2d(latents[part], CELLS).flatten(1).numpy() for part in parts]
    mouth = np.array([one.mouth for one in last])
    asked = fitted(target, len(latents))[parts[1]]
    return {
        "identity lost": 1 - float(_mean_likeness(first) @ _mean_likeness(last)),
        "grain": _mean(last, "grain") / max(_mean(first, "grain"), 1e-9),
        "sharpness": _mean(last, "sharpness") / max(_mean(first, "sharpness"), 1e-9),
        "colour": float(np.abs(_colour(last) - _colour(first)).max()),
        "spread of latents": float(latents[parts[1]].std() / latents[parts[0]].std()),
        "distance": frechet(pooled[0], pooled[1]),
        "borders": float(step[border].mean() / step[~border].mean()) if border.any() else 1.0,
        "mouth r": measures.correlation(mouth, asked) or 0.0,
    }


def interval(values: list[float], seed: int = 0) -> tuple[float, float, float]:
    """Mean, and the 95 % interval of it over people (bootstrap)."""
    given = np.array(values)
    rows = np.random.default_rng(seed).integers(0, len(given), (DRAWS, len(given)))
    low, high = np.percentile(given[rows].mean(1), (2.5, 97.5))
    return float(given.mean()), float(low), float(high)


def table(found: dict[str, list[dict[str, float]]]) -> str:
    """Arm -> people's drifts, as a table in Markdown: means, and their intervals over people."""
    lines = ["| arm | " + " | ".join(COLUMNS) + " |", "| --- |" + " --- |" * len(COLUMNS)]
    for name, people in found.items():
        cells = []
        for column in COLUMNS:
            mean, low, high = interval([one[column] for one in people])
            cells.append(f"{mean:.3f} ({low:.3f} … {high:.3f})")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _seen(vae: Any, latents: Tensor, person: int) -> list[Seen]:
    seen: list[Seen] = []
    before: Picture | None = None
    first: Picture | None = None
    where = regions(sitter(person))
    for picture in decoded(vae, latents):
        first = picture if first is None else first
        seen.append(look(picture, where, before, first))
        before = picture
    return seen


def _mean_likeness(seen: list[Seen]) -> NDArray[np.float64]:
    mean = np.asarray(np.mean([one.likeness for one in seen], axis=0, dtype=np.float64))
    return mean / max(float(np.linalg.norm(mean)), 1e-9)


def _colour(seen: list[Seen]) -> NDArray[np.float64]:
    return np.mean([one.colour for one in seen], axis=0)


def _mean(seen: list[Seen], name: str) -> float:
    return float(np.mean([getattr(one, name) for one in seen]))
