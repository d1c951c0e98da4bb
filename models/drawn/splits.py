"""Seeds of identities: which belong to training, validation and test. The seed's hash decides, so they never meet."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, islice
from typing import Literal

from models.families.noise_keys import noise_key

Split = Literal["train", "validation", "test"]


def split_of(seed: int) -> Split:
    """80 % of all seeds are for training, 10 % each for validation and test."""
    tenth = noise_key(seed, "split", 0) % 10
    return "test" if tenth == 0 else "validation" if tenth == 1 else "train"


def seeds(split: Split, start: int = 0) -> Iterator[int]:
    """Every seed of a split from `start` on."""
    return (seed for seed in count(start) if split_of(seed) == split)


def first_seeds(split: Split, number: int, start: int = 0) -> list[int]:
    return list(islice(seeds(split, start), number))
