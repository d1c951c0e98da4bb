"""Weights that come with Longtake: a folder a family in models/shipped, with a card that says how they were made."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parents[1] / "shipped"


def shipped_weights(family: str) -> str | None:
    """The folder of a family's shipped weights; None for families without."""
    folder = FOLDER / family
    return str(folder) if any(folder.glob("*.safetensors")) else None
