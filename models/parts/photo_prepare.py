"""The part that looks at a title once, of families that move a photograph: its face is found, its speech heard."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from models.faces.around import cut_out, square_around
from models.faces.face_finding import FoundFace
from models.faces.face_points import AROUND, LIPS, FaceReading, Square, pyramid, read_face, read_faces
from models.faces.one_face import CERTAIN, PortraitFace, face_of, one_face
from models.faces.portrait import PortraitHints, check_boxes, network_picture
from models.families.protocol import Arrays, Family, Hints
from models.image.masks import FACE_EXPAND, LIP_EXPAND, Box, expand_region
from models.parts.part import Part
from models.puppet.shown_teeth import below_teeth
from models.puppet.teeth import read_teeth
from models.speech.separator import SeparatorProblem
from models.speech.spectrum import SAMPLES_A_FRAME, heard
from models.speech.speech_level import gain_for

FIVE = (468, 473, 1, 61, 291)  # irises, nose, corners of the mouth
ALIKE = 0.2  # overlap of the mouth that was found with the one that was given, below which the given one counts


class PhotoPrepare(Part):
    def __init__(self, family: Family, weights: str | None, device: str) -> None:
        super().__init__(family, weights, "cpu")  # a portrait takes a moment, once a title
        self._points = self.ready("face_points")

    @torch.inference_mode()
    def conditioning(self, portrait: np.ndarray, base_size: int, hints: Hints) -> tuple[Arrays, list[str]]:
        """Portrait uint8 [H, W, 3] → `portrait` [3, S, S], the square around its face in -1..1; `crop_box` [4], where
        that lies in the portrait; `landmarks` [478, 3] in the square's pixels; `face_box` and `lip_box` [4] in them, as
        wide as families that paste faces have them; `teeth`, a number.

        Raises PortraitProblem where there is no face, or more than one, or none that can be moved.
        """
        height, width = portrait.shape[:2]
        given = PortraitHints(_corners(hints.face_box), _corners(hints.lip_box))
        check_boxes(given, height, width)
        face, notes = self._face(portrait, given)
        points = below_teeth(portrait, face.points.double().numpy())
        if given.lip_box is not None:
            points = lips_in(points, given.lip_box)
        square = square_around(_around(points))
        inside = cut_out(portrait, square)
        scale = base_size / square.width
        landmarks = points * scale
        landmarks[:, :2] -= np.array([square.x0, square.y0]) * scale
        arrays = {
            "portrait": network_picture(inside, base_size),
            "crop_box": np.array(square, np.float32),
            "landmarks": landmarks.astype(np.float32),
            "face_box": _wide(_around(landmarks), FACE_EXPAND, base_size),
            "lip_box": _wide(_around(landmarks[list(LIPS)]), LIP_EXPAND, base_size),
            "teeth": np.array([_number(portrait) % len(read_teeth())], np.int32),
        }
        return arrays, notes

    def _face(self, portrait: np.ndarray, given: PortraitHints) -> tuple[PortraitFace, list[str]]:
        """The face in the portrait; the one in the box, where one is given."""
        height, width = portrait.shape[:2]
        picture = torch.from_numpy(portrait.copy()).permute(2, 0, 1)
        readings = read_faces(self._points, picture)
        box = given.face_box
        if box is None:
            return one_face(readings, width, height), []
        near = [one for one in readings if one.certain >= CERTAIN and _inside(one, box)]
        if near:
            return face_of(near[0]), []
        square = Square((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2, AROUND * max(box.width, box.height))
        reading = read_face(self._points, pyramid(picture), square)
        notes = []
        if reading.certain < CERTAIN:
            notes = [f"face_box: what is in it is like a face by {reading.certain:.0%} only; look at a preview first"]
        return face_of(reading), notes

    @torch.inference_mode()
    def features(
        self, speech: np.ndarray, left: int, frames: int, right: int, silence: int, level: float
    ) -> np.ndarray:
        """→ [frames + silence, 7, 80]: spectra and those before, at the level that training had."""
        wave = torch.from_numpy(speech) * gain_for(level)
        found = heard(torch.nn.functional.pad(wave, (0, silence * SAMPLES_A_FRAME)))
        return found[left : left + frames + silence].contiguous().numpy()

    def voices(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        raise SeparatorProblem("value separate: the weights have no separator; expected as_is, or weights with one")

    def faces(self, picture: np.ndarray) -> list[FoundFace]:
        """Faces in a picture uint8 [H, W, 3], largest first."""
        readings = read_faces(self._points, torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1))
        found = [face_of(one) for one in readings if one.certain >= CERTAIN]
        boxes = [(_corners_of(face.face_box), face) for face in found]
        return [
            FoundFace(box, 1.0, face.points[list(FIVE), :2].double().numpy())
            for box, face in sorted(boxes, key=lambda one: -one[0].width * one[0].height)
        ]


def lips_in(points: NDArray[np.float64], box: Box) -> NDArray[np.float64]:
    """Landmarks [478 3] with the lips brought into the box that was given for them, where they lie elsewhere."""
    lips = list(LIPS)
    found = _around(points[lips])
    if _overlap(found, box) >= ALIKE:
        return points
    placed = points.copy()
    for axis, (low, size, wanted, wanted_size) in enumerate(
        ((found.x0, found.width, box.x0, box.width), (found.y0, found.height, box.y0, box.height))
    ):
        placed[lips, axis] = (points[lips, axis] - low) / max(size, 1e-6) * wanted_size + wanted
    return placed


def _around(points: NDArray[np.floating]) -> Box:
    (x0, y0), (x1, y1) = points[:, :2].min(0), points[:, :2].max(0)
    return Box(float(x0), float(y0), float(x1), float(y1))


def _wide(box: Box, ratio: float, side: int) -> NDArray[np.float32]:
    return np.array(expand_region(box, ratio, side, side), np.float32)


def _overlap(one: Box, other: Box) -> float:
    """Of two boxes: what they share over what they cover together."""
    wide = max(0.0, min(one.x1, other.x1) - max(one.x0, other.x0))
    high = max(0.0, min(one.y1, other.y1) - max(one.y0, other.y0))
    both = wide * high
    return both / (one.width * one.height + other.width * other.height - both)


def _inside(reading: FaceReading, box: Box) -> bool:
    """Whether the middle of the face lies in the box."""
    x, y = ((reading.points[10] + reading.points[152]) / 2)[:2].tolist()
    return box.x0 <= x < box.x1 and box.y0 <= y < box.y1


def _corners(box: tuple[int, int, int, int] | None) -> Box | None:
    """[x, y, width, height], as manifests have it, to corners."""
    return _corners_of(box) if box else None


def _corners_of(box: tuple[float, float, float, float]) -> Box:
    return Box(box[0], box[1], box[0] + box[2], box[1] + box[3])


def _number(portrait: np.ndarray) -> int:
    """The same for the same pixels."""
    return int.from_bytes(hashlib.sha256(portrait.tobytes()).digest()[:4], "little")
