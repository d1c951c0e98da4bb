"""Prompts to the embeddings that the text branch takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.prompts.clip_text import ClipTextEncoder
from models.prompts.ngrams import embed

KEPT = 64  # prompts whose embeddings are remembered


class PromptProblem(ValueError):
    """A prompt that cannot be used as it is."""


class Prompts:
    """Embeds prompts by a CLIP text model, or without one by hashed n-grams, each only once."""

    def __init__(self, width: int, clip: Any | None = None, vocabulary: Path | None = None) -> None:
        """`clip`: the loaded text model; `vocabulary`: the folder with its `vocab.json` and `merges.txt`."""
        self._width = width
        self._encoder = ClipTextEncoder(clip, _tokenizer(vocabulary, clip)) if clip and vocabulary else None
        self._known: dict[str, Tensor] = {}

    def __call__(self, texts: list[str]) -> Tensor:
        """texts -> [n, width]. Raises PromptProblem for a prompt that is longer than the text model reads."""
        return torch.cat([self._one(text) for text in texts])

    def _one(self, text: str) -> Tensor:
        if text not in self._known:
            while len(self._known) >= KEPT:
                self._known.pop(next(iter(self._known)))
            self._known[text] = self._embed(text)
        return self._known[text]

    def _embed(self, text: str) -> Tensor:
        if self._encoder is None:
            return embed([text], self._width)
        try:
            return self._encoder([text]).cpu()
        except ValueError as error:
            raise PromptProblem(str(error)) from error


def _tokenizer(folder: Path, clip: Any) -> Any:
    from transformers import CLIPTokenizer

    tokenizer = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    tokenizer.model_max_length = clip.config.max_position_embeddings
    return tokenizer
