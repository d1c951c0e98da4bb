"""Networks that users bring to measure with: TorchScript or ONNX files, opened only if their hash is the one expected.

BackboneProblem     a file that is missing, another one than was named, or unfit
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[np.float32]
TORCHSCRIPT, ONNX = (".pt", ".ts", ".jit", ".torchscript"), (".onnx",)


class BackboneProblem(ValueError):
    """A backbone that cannot be used; the text says what to do."""


@dataclass(frozen=True)
class Backbone:
    """A file, and how its network wants pictures."""

    path: Path
    sha256: str
    side: int
    """Pictures are brought to side x side pixels."""
    low: float = -1.0
    high: float = 1.0
    """What black and white are to it."""
    output: int = 0
    """Which of several outputs holds the features."""

    def scaled(self, pictures: Array) -> Array:
        """0..1 -> low..high."""
        return (pictures * (self.high - self.low) + self.low).astype(np.float32)


Network = Callable[..., list[Array]]
"""Arrays in, every output as an array."""


def open_backbone(backbone: Backbone) -> Network:
    """Raises BackboneProblem. Nothing of the file is run before its hash is known to be right."""
    path = backbone.path
    kind = path.suffix.lower()
    if kind not in TORCHSCRIPT + ONNX:
        raise BackboneProblem(f"{path}: expected TorchScript ({', '.join(TORCHSCRIPT)}) or ONNX ({', '.join(ONNX)})")
    if not path.is_file():
        raise BackboneProblem(f"{path} does not exist: its licence keeps it from being shipped, so bring the file")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not backbone.sha256:
        raise BackboneProblem(f"{path}: no sha256 is given; if you trust the file, write sha256: {found}")
    if found != backbone.sha256.lower():
        raise BackboneProblem(f"{path} has sha256 {found}, expected {backbone.sha256}: it is another file, or damaged")
    return _onnx(path) if kind in ONNX else _torchscript(path)


def _torchscript(path: Path) -> Network:
    try:
        network = torch.jit.load(str(path), map_location="cpu").eval()
    except RuntimeError as error:
        raise BackboneProblem(f"{path} is no TorchScript file ({str(error).splitlines()[0]})") from error

    def run(*arrays: Array) -> list[Array]:
        with torch.inference_mode():
            found = _called(path, lambda: network(*(torch.from_numpy(np.ascontiguousarray(one)) for one in arrays)))
        return [one.float().numpy() for one in (found if isinstance(found, tuple | list) else [found])]

    return run


def _onnx(path: Path) -> Network:
    try:
        import onnxruntime
    except ImportError as error:
        raise BackboneProblem(f"{path.name} needs the package onnxruntime: install longtake[faces]") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its classes are its own
        raise BackboneProblem(f"{path} is no ONNX file ({str(error).splitlines()[0]})") from error
    names = [one.name for one in session.get_inputs()]

    def run(*arrays: Array) -> list[Array]:
        if len(arrays) != len(names):
            raise BackboneProblem(f"{path} takes {len(names)} inputs, this score gives it {len(arrays)}")
        given = {name: np.ascontiguousarray(one, np.float32) for name, one in zip(names, arrays, strict=True)}
        return [np.asarray(one, np.float32) for one in _called(path, lambda: session.run(None, given))]

    return run


def _called(path: Path, call: Callable[[], Any]) -> Any:
    try:
        return call()
    except BackboneProblem:
        raise
    except Exception as error:  # whatever a foreign network stumbles over
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        raise BackboneProblem(f"{path} cannot take what this score gives it ({reason})") from error
