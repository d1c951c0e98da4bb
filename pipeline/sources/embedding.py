"""Face embeddings that come from a file."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from pipeline.core.errors import InputError

LARGEST = 1 << 20  # bytes


def read_embedding(path: Path, name: str) -> np.ndarray:
    """A vector of numbers [n] from a NumPy file (.npy), one row or one column at most besides. Raises InputError."""
    expected = "expected a NumPy file (.npy) with one vector of numbers; write it with numpy.save"
    if path.stat().st_size > LARGEST:
        raise InputError(f"{name}: has {path.stat().st_size:,} bytes; {expected}")
    try:
        _check_size(path)
        values = np.load(path, allow_pickle=False)
    except Exception as error:  # its head is parsed as a program, which fails in many ways
        raise InputError(f"{name}: cannot be read ({' '.join(str(error).split())[:120]}); {expected}") from error
    if not isinstance(values, np.ndarray):
        raise InputError(f"{name}: holds an archive; {expected}")
    if values.dtype.kind not in "fiu" or values.size == 0 or values.size != max(values.shape):
        raise InputError(f"{name}: holds {values.dtype} of shape {list(values.shape)}; {expected}")
    if not np.isfinite(values).all():
        raise InputError(f"{name}: holds numbers that are not finite; {expected}")
    return values.reshape(-1).astype(np.float32)


def _check_size(path: Path) -> None:
    """Raises ValueError where the head claims another size than the file has: reading would make room for it first."""
    with path.open("rb") as file:
        if file.read(2) == b"PK":
            raise ValueError("it is an archive")
        file.seek(0)
        read_head = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
        shape, _, dtype = read_head[np.lib.format.read_magic(file)[0]](file)
        claimed = math.prod(shape) * dtype.itemsize
        if dtype.hasobject or min(shape, default=0) < 0 or claimed != path.stat().st_size - file.tell():
            raise ValueError(f"its head says {dtype} of shape {shape}, which is not what follows"[:120])
