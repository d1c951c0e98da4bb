"""Numbers that are none: what leaves the range of a half precision type must not be committed as a picture.

float16 ends at 65,504. What grows beyond it becomes infinite, and NaN where infinities meet; a clip carries it on to
all clips that follow. bfloat16 reaches as far as float32, with an eighth of float16's digits: what was not finite is
made again in it (`models.image.wider`), and a record says so. Importable without torch.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

AGAIN = "bfloat16"
"""In what it is made again, as records and numerics classes name it."""


class NotFinite(ArithmeticError):
    """What networks gave holds NaN or infinities."""


def finite(arrays: Iterable[np.ndarray]) -> bool:
    """Whether all numbers of all arrays are."""
    return all(bool(np.isfinite(array).all()) for array in arrays)
