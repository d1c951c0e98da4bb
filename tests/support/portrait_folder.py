"""A folder of portraits with landmarks that nobody has: ovals with eyes and a mouth."""

from __future__ import annotations

import json
import math
from pathlib import Path

import cv2
import numpy as np

from models.data.landmark_faces import LEFT_OUT
from models.data.portraits import read_left_out
from models.drawn.splits import split_of
from models.faces.face_points import PARTS
from models.puppet.topology import canonical

SIDE = 240


def a_face(lean: float = 0.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A picture with a light oval that has dark eyes and a red mouth, and its landmarks [478 3]."""
    points = canonical().points * 95
    turn = np.array([[math.cos(lean), -math.sin(lean), 0], [math.sin(lean), math.cos(lean), 0], [0, 0, 1]])
    points = points @ turn.T + [SIDE / 2 + 9, SIDE / 2 - 6, 0]
    picture = np.full((SIDE, SIDE, 3), 60 + 10 * seed, np.uint8)
    for places, colour in (
        (range(468), (200, 170, 150)),
        (PARTS[0], (170, 60, 70)),
        (PARTS[1][:16], (40, 40, 50)),
        (PARTS[2][:16], (40, 40, 50)),
    ):
        hull = cv2.convexHull(points[list(places), :2].astype(np.float32)).astype(np.int32)
        cv2.fillConvexPoly(picture, hull, colour, cv2.LINE_AA)
    return picture, points


def portrait_folder(folder: Path) -> Path:
    """A folder of portraits, some of every split, one of another generator and one that is left out."""
    wanted = {"train": 3, "validation": 2, "test": 2}
    numbers = [next(n for n in range(k * 1000, (k + 1) * 1000) if split_of(n) == split)
               for k, split in enumerate(name for name, many in wanted.items() for _ in range(many))]  # fmt: skip
    left_out = next(iter(read_left_out(LEFT_OUT)))
    rows, points = [], []
    for place, number in enumerate([*numbers, 90_001, int(left_out)]):
        picture, at = a_face(0.1 * (place % 3 - 1), place)
        cv2.imwrite(str(folder / f"{place:04}.jpg"), picture[..., ::-1])
        generator = "SDXL" if number == 90_001 else "FLUX.1 schnell"
        rows.append({"name": f"{place:04}", "number": f"{number:07}", "generator": generator, "yaw": 0.0, "pitch": 0.0,
                     "roll": 0.0, "mouth_gap": 0.0, "face_height": 100.0})  # fmt: skip
        points.append(at)
    (folder / "index.json").write_text(json.dumps(rows))
    np.savez(
        folder / "landmarks.npz", names=np.array([row["name"] for row in rows]), landmarks=np.array(points, np.float32)
    )
    return folder
