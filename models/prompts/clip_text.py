"""Prompts to embeddings by a CLIP text model."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class ClipTextEncoder:
    """Prompts to embeddings by a CLIP text model and its tokenizer (transformers classes)."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model = model
        self.tokenizer = tokenizer

    @torch.no_grad()
    def __call__(self, prompts: list[str]) -> Tensor:
        """`prompts` -> pooled embeddings [n e].

        Raises ValueError if a prompt has more tokens than the model reads; nothing is cut off silently.
        """
        limit = self.tokenizer.model_max_length
        tokens = self.tokenizer(prompts)["input_ids"]
        for prompt, ids in zip(prompts, tokens, strict=True):
            if len(ids) > limit:
                raise ValueError(f"prompt {prompt!r} has {len(ids)} tokens, the text encoder reads {limit}: shorten it")
        padded = self.tokenizer(prompts, padding="max_length", max_length=limit, return_tensors="pt")
        return self.model(input_ids=padded["input_ids"].to(self.model.device)).pooler_output
