"""Face embeddings that come from a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.errors import InputError

LARGEST = 1 << 20  # bytes


def read_embedding(path: Path, name: str) -> np.ndarray:
    """A vector of numbers [n] from a NumPy file (.npy), one row or one column at most besides. Raises InputError."""
    expected = "expected a NumPy file (.npy) with one vector of numbers; write it with numpy.save"
    if path.stat().st_size > LARGEST:
        raise InputError(f"{name}: has {path.stat().st_size:,} bytes; {expected}")
    try:
        values = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"{name}: cannot be read ({' '.join(str(error).split())[:120]}); {expected}") from error
    if not isinstance(values, np.ndarray):
        raise InputError(f"{name}: holds an archive; {expected}")
    if values.dtype.kind not in "fiu" or values.size == 0 or values.size != max(values.shape):
        raise InputError(f"{name}: holds {values.dtype} of shape {list(values.shape)}; {expected}")
    if not np.isfinite(values).all():
        raise InputError(f"{name}: holds numbers that are not finite; {expected}")
    return values.reshape(-1).astype(np.float32)
