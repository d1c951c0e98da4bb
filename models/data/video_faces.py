"""Where face, mouth and eyes are in a video: found by a family's own finder, or told in a file beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.faces.face_finding import FoundFace

Numbers = NDArray[np.float64]
LIPS = (0.25, 0.66, 0.75, 0.88)  # of a face box, where nothing else is known
EYES = ((0.12, 0.28, 0.46, 0.48), (0.54, 0.28, 0.88, 0.48))
REACH = 0.16  # of the face's width: half of what counts as an eye, where its middle is known
LIP_HEIGHT = 0.35  # of the distance between the corners of the mouth


class VideoProblem(ValueError):
    """A video that gives no takes; the text says why."""


@dataclass(frozen=True)
class Sample:
    """One frame's face, in pixels of the video: boxes x0, y0, x1, y1."""

    face: Numbers  # [4]
    fine: Numbers  # [3 4]: lips, eyes
    embedding: NDArray[np.float32] | None = None


Look = Callable[[int, NDArray[np.uint8]], Sample | None]
"""Frame number and frame [h w 3] -> its face; None where there is not exactly one."""


def told(path: Path) -> tuple[Look, str]:
    """What a JSON file beside a video says: `face_box`, perhaps `lip_box`, each x, y, width, height for the whole
    video or a list of one such box a frame; and `prompt`. Raises VideoProblem."""
    try:
        given = json.loads(path.read_text())
        boxes = {name: np.asarray(given[name], np.float64) for name in ("face_box", "lip_box") if name in given}
        prompt = given.get("prompt", "")
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise VideoProblem(f"{path.name} cannot be read ({error})") from error
    face = boxes.get("face_box")
    if face is None or not isinstance(prompt, str):
        raise VideoProblem(f"{path.name}: expected face_box: [x, y, width, height], and prompt, if any, as text")
    for name, box in boxes.items():
        if box.ndim not in (1, 2) or box.shape[-1] != 4 or not (box[..., 2:] > 0).all():
            raise VideoProblem(f"{path.name}: {name}: expected [x, y, width, height], or one such list a frame")

    def box_at(name: str, frame: int) -> Numbers | None:
        box = boxes.get(name)
        if box is None:
            return None
        x, y, width, height = box if box.ndim == 1 else box[min(frame, len(box) - 1)]
        return np.array([x, y, x + width, y + height])

    def look(frame: int, picture: NDArray[np.uint8]) -> Sample:
        found = box_at("face_box", frame)
        assert found is not None
        return Sample(found, _fine(found, box_at("lip_box", frame)))

    return look, prompt


def found_by(find: Callable[[NDArray[np.uint8]], list[FoundFace]]) -> Look:
    def look(frame: int, picture: NDArray[np.uint8]) -> Sample | None:
        faces = find(picture)
        if len(faces) != 1:
            return None
        face = np.array(faces[0].box, np.float64)
        return Sample(face, _of_landmarks(face, faces[0].landmarks), faces[0].embedding)

    return look


def between(samples: dict[int, Sample], frames: range) -> tuple[Numbers, Numbers]:
    """Boxes of every frame from samples of some: faces [f 4], fine [f 3 4]."""
    places = sorted(samples)
    faces = np.stack([samples[place].face for place in places])
    fine = np.stack([samples[place].fine for place in places])

    def along(values: Numbers) -> Numbers:
        flat = values.reshape(len(places), -1)
        columns = [np.interp(frames, places, flat[:, column]) for column in range(flat.shape[1])]
        return np.stack(columns, axis=1).reshape(len(frames), *values.shape[1:])

    return along(faces), along(fine)


def _fine(face: Numbers, lips: Numbers | None) -> Numbers:
    low, size = np.tile(face[:2], 2), np.tile(face[2:] - face[:2], 2)
    parts = [low + size * np.array(share) for share in (LIPS, *EYES)]
    return np.stack([parts[0] if lips is None else lips, *parts[1:]])


def _of_landmarks(face: Numbers, points: Numbers) -> Numbers:
    """Five points: eyes, nose, corners of the mouth."""
    reach = REACH * (face[2] - face[0])
    half = np.linalg.norm(points[4] - points[3]) / 2
    middle = (points[3] + points[4]) / 2
    grown = np.array([half, max(LIP_HEIGHT * half, 0.1 * (face[2] - face[0]))])
    eyes = [np.concatenate([eye - reach, eye + reach]) for eye in points[:2]]
    return np.stack([np.concatenate([middle - grown, middle + grown]), *eyes])
