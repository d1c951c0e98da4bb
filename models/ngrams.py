"""Prompts to embeddings without a trained text encoder: hashed words and letter trigrams.

The same text gives the same numbers everywhere; similar words share trigrams and so lie near each other.
"""

from __future__ import annotations

import hashlib
import re

import torch
from torch import Tensor


def embed(texts: list[str], width: int) -> Tensor:
    """texts → [n, width], rows of unit length (zero for a text without letters or digits)."""
    rows = torch.zeros(len(texts), width)
    for row, text in zip(rows, texts, strict=True):
        for piece in _pieces(text):
            digest = hashlib.sha256(piece.encode()).digest()
            row[int.from_bytes(digest[:4], "big") % width] += 1.0 if digest[4] & 1 else -1.0
    return torch.nn.functional.normalize(rows, dim=1)


def _pieces(text: str) -> list[str]:
    pieces: list[str] = []
    for word in re.findall(r"\w+", text.lower()):
        pieces.append(f"word {word}")
        padded = f"<{word}>"
        pieces += [padded[start : start + 3] for start in range(len(padded) - 2)]
    return pieces
