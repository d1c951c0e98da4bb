"""Named arrays as objects of the store: safetensors, whose bytes are a function of the arrays alone."""

from __future__ import annotations

import numpy as np
from safetensors.numpy import load, save

from pipeline.core.errors import DamagedObject


def pack(arrays: dict[str, np.ndarray]) -> bytes:
    return save({name: np.ascontiguousarray(array) for name, array in arrays.items()})


def unpack(data: bytes, where: str) -> dict[str, np.ndarray]:
    """Raises DamagedObject where the bytes are not packed arrays."""
    try:
        return load(data)
    except Exception as error:
        raise DamagedObject(f"{where}: not a safetensors object ({error})") from error
