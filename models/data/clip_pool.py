"""Clips drawn once and kept in files: for machines that draw slower than they train.

A pool is a function of its facts. Its files are drawn when they are first asked for and used again by every run with
the same facts; drawing that was broken off goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from torch import Generator, Tensor

from models.families.noise_keys import noise_key

BLOCK = 32  # clips a file


class ClipPool:
    """`number` clips of what `draw(count, generator)` gives [count ...] in 0..1, kept as bytes under `folder`."""

    def __init__(self, folder: Path, number: int, facts: dict[str, Any], draw: Callable[[int, Generator], Tensor]):
        name = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
        self.folder = folder / name
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "facts.json").write_text(json.dumps(facts, indent=1, sort_keys=True))
        self.blocks = [self._block(place, draw) for place in range(-(-number // BLOCK))]

    def some(self, number: int, generator: Generator) -> Tensor:
        """[number ...] uint8, chosen at random."""
        places = torch.randint(len(self.blocks) * BLOCK, (number,), generator=generator).tolist()
        return torch.stack([torch.from_numpy(self.blocks[p // BLOCK][p % BLOCK].copy()) for p in places])

    def _block(self, place: int, draw: Callable[[int, Generator], Tensor]) -> np.ndarray:
        path = self.folder / f"{place:05}.npy"
        if not path.exists():
            generator = torch.Generator().manual_seed(noise_key(0, "pool", place))
            clips = draw(BLOCK, generator).clamp(0, 1).mul(255).round().byte().cpu().numpy()
            part = path.with_name(f"{path.name}.{os.getpid()}.part")
            with part.open("wb") as file:
                np.save(file, clips)
            part.replace(path)
            click.echo(f"drew {path}", err=True)
        return np.load(path, mmap_mode="r")
