"""Files of weights, as plain data: what a family's folder holds, what each file is for, and who may use it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Part = Literal["prepare", "chain", "upscale"]

TENSOR_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt")


@dataclass(frozen=True)
class WeightFile:
    """One file of a folder of weights. Its tensors are those of `network`, which `models.weights.recipes` makes."""

    path: str
    network: str
    parts: tuple[Part, ...]
    """The workers that load it."""
    purpose: str
    licence: str
    commercial: Literal["yes", "no", "unclear"]
    """Whether the licence allows commercial use."""
    optional: bool = False
    along_with: str = ""
    """A network whose file this optional one is needed with, and is not used without."""
    key: str = ""
    """Where in a pickle the tensors lie; "" where they are the whole of it."""
    also: tuple[str, ...] = ()
    """Other paths that the same tensors may lie at; the first that is there counts."""
    size: int = 0
    """Bytes of the published file; 0 where not known."""
    sha256: str = ""
    """Of the published file; "" where not known."""

    @property
    def paths(self) -> tuple[str, ...]:
        return (self.path, *self.also)

    @property
    def holds_tensors(self) -> bool:
        return self.path.endswith(TENSOR_SUFFIXES)
