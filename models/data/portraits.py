"""A folder of portraits with landmarks: pictures, `index.json` with a row a picture, `landmarks.npz`.

    {"name": "0012", "generator": "FLUX.1 schnell", "number": "0026783", "yaw": 3.1, "pitch": -2.0, "roll": 0.4,
     "mouth_gap": 0.01, "face_height": 214.0, …}

`landmarks.npz` holds `names` and `landmarks` [n 478 3] in pixels of the pictures `<name>.jpg`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

GENERATOR = "FLUX.1 schnell"


@dataclass(frozen=True)
class Portrait:
    """Angles in degrees; `mouth_gap` is the inner lips' distance over the mouth's width."""

    path: Path
    name: str
    number: str
    """Of the picture in its data set."""
    generator: str
    yaw: float
    pitch: float
    roll: float
    mouth_gap: float
    face_height: float
    landmarks: NDArray[np.float64]
    """[478 3] in pixels."""

    def picture(self) -> NDArray[np.uint8]:
        """[h w 3], red first."""
        found = cv2.imread(str(self.path))
        if found is None:
            raise ValueError(f"{self.path}: this is no picture that can be read")
        return np.ascontiguousarray(found[..., ::-1])


def read_portraits(
    folder: Path,
    generator: str = GENERATOR,
    left_out: Mapping[str, str] | None = None,
    reasons: frozenset[str] | None = None,
) -> list[Portrait]:
    """Portraits of one generator, but for those whose number is `left_out`: for any reason, or for one of `reasons`.

    Raises FileNotFoundError where the folder holds no index or no landmarks.
    """
    for needed in ("index.json", "landmarks.npz"):
        if not (folder / needed).exists():
            raise FileNotFoundError(
                f"{folder} holds no {needed}: expected a folder of portraits as models/data/portraits.py says"
            )
    with np.load(folder / "landmarks.npz", allow_pickle=False) as file:
        points = dict(zip((str(name) for name in file["names"]), file["landmarks"], strict=True))
    found = []
    for row in json.loads((folder / "index.json").read_text()):
        why = (left_out or {}).get(row["number"])
        if row["generator"] != generator or (why is not None and (reasons is None or why in reasons)):
            continue
        angles = {name: float(row[name]) for name in ("yaw", "pitch", "roll", "mouth_gap", "face_height")}
        name = row["name"]
        found.append(
            Portrait(
                folder / f"{name}.jpg",
                name,
                row["number"],
                generator,
                **angles,
                landmarks=points[name].astype(np.float64),
            )
        )
    return found


def read_left_out(path: Path) -> dict[str, str]:
    """Numbers and why, a line each: `0026783 child`; what follows `#` is a remark."""
    lines = (line.partition("#")[0].split() for line in path.read_text().splitlines())
    return {words[0]: words[1] if len(words) > 1 else "" for words in lines if words}
