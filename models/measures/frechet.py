"""Distance of two clouds of features, each taken to be normal (Fréchet; Heusel et al., arXiv 1706.08500, eq. 6)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def frechet(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Features [n d] and [m d], at least two rows each. Few rows make the distance larger: compare equal numbers."""
    if min(len(one), len(other)) < 2:
        raise ValueError(f"{len(one)} and {len(other)} pictures: at least two of each are needed")
    a, b = np.asarray(one, np.float64), np.asarray(other, np.float64)
    covered_a, covered_b = np.atleast_2d(np.cov(a, rowvar=False)), np.atleast_2d(np.cov(b, rowvar=False))
    root = _root(covered_a)
    # The trace of (A·B)^½ is that of (A^½·B·A^½)^½, which is symmetric.
    shared = np.sqrt(np.linalg.eigvalsh(root @ covered_b @ root).clip(0)).sum()
    apart = np.square(a.mean(0) - b.mean(0)).sum()
    return float(max(apart + np.trace(covered_a) + np.trace(covered_b) - 2 * shared, 0.0))


def _root(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(values.clip(0))) @ vectors.T
