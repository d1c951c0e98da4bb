"""Weights that come with Longtake: a folder a family in models/shipped, with a card that says how they were made."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parents[1] / "shipped"
SUMS = "SHA256SUMS"  # beside a family's files: their sha256, as the program sha256sum writes them

# Hashes of weights that earlier versions shipped and whose reports do not say that these were the family's own.
EARLIER = {"mini": ("1203fcc5103b195613149bced0d762befe933e847e4a010039bf7c4965f26a65",)}


def shipped_weights(family: str) -> str | None:
    """The folder of a family's shipped weights; None for families without."""
    folder = FOLDER / family
    return str(folder) if any(folder.glob("*.safetensors")) else None


def shipped_sha256(family: str) -> frozenset[str]:
    """Of a family's shipped files, which tests have compared with its networks; empty for families without."""
    file = FOLDER / family / SUMS
    return frozenset(line.split()[0] for line in file.read_text().splitlines()) if file.exists() else frozenset()
