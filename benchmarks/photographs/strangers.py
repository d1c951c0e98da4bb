"""Is whoever speaks still nearer to the own portrait than to anybody else's? By dlib's face network."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.data.portraits import read_portraits
from models.measures.face_view import chip, view
from models.measures.mesh import face_square
from models.measures.watching import Sensors, find_face, pictures

EVERY = 10  # frames between those that are looked at


@dataclass(frozen=True)
class Strangers:
    names: list[str]
    faces: NDArray[np.float64]  # [n 128]

    @classmethod
    def of(cls, folder: Path, sensors: Sensors) -> Strangers:
        """Everybody in a folder of portraits, whoever made them."""
        makers = sorted({row["generator"] for row in json.loads((folder / "index.json").read_text())})
        everybody = [one for maker in makers for one in read_portraits(folder, maker)]
        faces = [sensors.describe(chip(one.picture(), one.landmarks)) for one in everybody]
        return cls([one.name for one in everybody], np.stack(faces))

    def margin(self, name: str, film: Path, sensors: Sensors) -> dict[str, float | str]:
        """Of frames of a film of `name`: how much farther the nearest other portrait is than the own, at least; and
        which that is. Below 0 another is nearer."""
        own = self.faces[self.names.index(name)]
        least, nearest, square = np.inf, "", None
        for number, (_, picture) in enumerate(pictures(film)):
            if number % EVERY:
                continue
            if square is None:
                found = find_face(picture, sensors)
                if found is None:
                    continue
                square = face_square(found)
            cut = view(picture, square)
            points = sensors.still(cut)
            if points is None:
                continue
            face = sensors.describe(chip(cut, points))
            away = np.linalg.norm(self.faces - face, axis=1)
            away[self.names.index(name)] = np.inf
            margin = float(away.min() - np.linalg.norm(own - face))
            if margin < least:
                least, nearest = margin, self.names[int(away.argmin())]
        return {"nearest_other_farther_by": least, "nearest_other": nearest}
