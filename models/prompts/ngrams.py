"""Prompts to embeddings without a trained text encoder: hashed words and letter trigrams.

The same text gives the same numbers everywhere; similar words share trigrams and so lie near each other. Words that say
nothing of how somebody looks are left out: with them "turned to the left" and "turned to the right" were nearly alike.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from models.families.vocabulary import words_of


def embed(texts: list[str], width: int) -> Tensor:
    """texts → [n, width], rows whose squares have a mean of 1 (zero for a text of which nothing is left)."""
    rows = torch.zeros(len(texts), width)
    for row, text in zip(rows, texts, strict=True):
        for piece in _pieces(text):
            digest = hashlib.sha256(piece.encode()).digest()
            row[int.from_bytes(digest[:4], "big") % width] += 1.0 if digest[4] & 1 else -1.0
    return torch.nn.functional.normalize(rows, dim=1) * width**0.5


def _pieces(text: str) -> list[str]:
    pieces: list[str] = []
    for word in words_of(text):
        pieces.append(f"word {word}")
        padded = f"<{word}>"
        pieces += [padded[start : start + 3] for start in range(len(padded) - 2)]
    return pieces
