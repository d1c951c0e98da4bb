"""Faces in pictures of every kind: found or not, and how far their points are off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from models.data.landmark_faces import known_portraits
from models.data.landmark_views import faceless, framed, placed
from models.drawn.splits import Split
from models.faces.face_points import load_face_points, read_faces
from models.families.noise_keys import noise_key
from models.training.landmarks import measured

SIDE = 512


@torch.no_grad()
def reading_figures(faces: Path, weights: Path, split: Split | str, framings: int) -> dict[str, Any]:
    """Means over people and framings; errors over the distance between the eyes' outer corners."""
    network = load_face_points(weights)
    known = known_portraits(faces, split)  # type: ignore[arg-type]
    rows = [measured(network, known, seed=seed) for seed in range(framings)]
    found: dict[str, Any] = {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}
    alarms = twos = 0
    for number, face in enumerate(known):
        generator = torch.Generator().manual_seed(noise_key(0, "nobody", number))
        alarms += bool(read_faces(network, faceless(face, SIDE, generator)))
        other = known[(number + 1) % len(known)]
        half = SIDE // 2
        sides = [
            placed(one, framed(one, generator, (where, 0.0), most=0.48), SIDE, generator)
            for one, where in ((face, -0.5), (other, 0.5))
        ]
        both = torch.cat([sides[0][..., :half], sides[1][..., half:]], -1)
        twos += len(read_faces(network, both)) == 2
    return found | {"people": len(known), "false_alarms": alarms / len(known), "two_found": twos / len(known)}
