"""Whether a family's autoencoder can show a portrait at all: the portrait against what comes back of it.

What the autoencoder loses of a portrait no other network can bring back, so a portrait unlike all that the family was
trained on is told from this alone, before anything is rendered. Importable without torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.floating[Any]]

OUT_OF_DOMAIN = "out of domain"  # how the warning begins


@dataclass(frozen=True)
class Reproduction:
    """Decibels (PSNR, of 1) in the face's box and in the mouth's."""

    face: float
    mouth: float

    def below(self, least: Reproduction) -> bool:
        return self.face < least.face or self.mouth < least.mouth


def reproduction(portrait: Numbers, shown: Numbers, face: Numbers, mouth: Numbers) -> Reproduction:
    """Both pictures [3, S, S] in 0..1; boxes x0, y0, x1, y1 in pixels."""
    return Reproduction(_psnr(portrait, shown, face), _psnr(portrait, shown, mouth))


def warning(found: Reproduction, least: Reproduction) -> str:
    return (
        f"{OUT_OF_DOMAIN}: the family's autoencoder shows this face with {found.face:.1f} dB and its mouth with "
        f"{found.mouth:.1f} dB, where the portraits that it was made for reach at least {least.face:g} and "
        f"{least.mouth:g}: the video will be a poor likeness; use a portrait nearer to those, a closer crop of the "
        "face, or another family"
    )


def is_warning(note: str) -> bool:
    """Whether a note is such a warning: records keep notes as text alone, so this is where it is told from others."""
    return note.startswith(OUT_OF_DOMAIN)


def _psnr(one: NDArray[np.float32], other: NDArray[np.float32], box: NDArray[np.float32]) -> float:
    side = one.shape[-1]
    x0, y0, x1, y1 = (min(max(round(float(edge)), 0), side - 1) for edge in box)
    rows, columns = slice(y0, max(y1, y0 + 1)), slice(x0, max(x1, x0 + 1))
    error = float(np.square(one[:, rows, columns] - other[:, rows, columns]).mean())
    return -10 * float(np.log10(max(error, 1e-10)))
