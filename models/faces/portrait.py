"""A portrait -> what the networks are given of it: the picture, the region mask, the motion masks, the embedding.

Follows the published preparation where a face finder and a mesh are there, and says in its notes what it had to guess
where they are not. A picture that is not square is cropped around the face, never squashed.

    PortraitProblem
    ├── NoFace
    ├── SeveralFaces
    ├── FaceTurned
    └── BadBox
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.faces.face_finding import Finder, FoundFace, turn_degrees
from models.image.masks import FACE_EXPAND, LIP_EXPAND, Box, expand_region, motion_masks, region_mask, regions_from_mesh

MOST_TURN = 30.0  # degrees; the model was trained on faces turned less
CROP_PER_FACE = 2.0  # a crop is this many times as wide as the face
SMALL_FACE = 0.3  # of the picture's side; below, a note is left
ASSUMED_FACE = (0.2, 0.15, 0.8, 0.85)  # of the crop's side, where nothing is known
LIP_HEIGHT = 0.35  # of the distance between the corners of the mouth
NO_EMBEDDING = "no face embedding: zeros were used, the likeness rests on the picture alone"  # a note


class PortraitProblem(ValueError):
    """A portrait that cannot be used as it is."""


class NoFace(PortraitProblem):
    pass


class SeveralFaces(PortraitProblem):
    pass


class FaceTurned(PortraitProblem):
    pass


class BadBox(PortraitProblem):
    pass


@dataclass(frozen=True)
class PortraitSizes:
    """Of a family: side of the base frame, side and number of levels of the motion masks, embedding's length."""

    size: int = 512
    mask_side: int = 64
    mask_levels: int = 4
    embedding: int = 512


@dataclass(frozen=True)
class PortraitHints:
    """What the user says about the portrait. Boxes are in its pixels, x0, y0, x1, y1."""

    face_box: Box | None = None
    lip_box: Box | None = None
    face_embedding: NDArray[np.float32] | None = field(default=None, compare=False)
    several: Literal["refuse", "largest"] = "refuse"


Arrays = dict[str, NDArray[np.float32]]
MeshFinder = Callable[[NDArray[np.uint8]], NDArray[np.float64] | None]


def prepare_portrait(
    image: NDArray[np.uint8],
    sizes: PortraitSizes,
    hints: PortraitHints | None = None,
    find_faces: Finder | None = None,
    find_mesh: MeshFinder | None = None,
) -> tuple[Arrays, list[str]]:
    """image uint8 [h, w, 3] RGB -> arrays, and notes on what was approximated.

    `portrait` and `region_mask` [3, S, S] (in -1..1 and 0..1); `background_mask_k`, `face_mask_k`, `lip_mask_k`
    [1, side * side] of level k; `face_embedding` [n]; `face_box` and `lip_box` [4] in pixels of the base frame.
    """
    hints = hints or PortraitHints()
    notes: list[str] = []
    height, width = image.shape[:2]
    check_boxes(hints, height, width)
    found = _the_face(find_faces(image), hints) if find_faces else None
    if find_faces and found is None:
        notes.append("no face was found in the portrait: face_box was used instead")
    mesh = find_mesh(image) if find_mesh else None

    face, lip = _regions(image, hints, found, mesh, notes)
    crop = square_crop(height, width, hints.face_box or (found.box if found else face), sizes.size)
    if face is None:
        side = crop.width
        face = Box(*(low + share * side for low, share in zip((*crop[:2], *crop[:2]), ASSUMED_FACE, strict=True)))
        notes.append("no face_box given: the portrait was cropped at its centre and the face assumed in the middle")
    if lip is None:
        lip = Box(face.x0, face.y1 - face.height / 3, face.x1, face.y1)
        notes.append("no lip_box given: the lower third of the face was taken for the mouth")
    if crop.width < sizes.size:
        notes.append(f"the portrait's crop is {crop.width:.0f} pixels wide and was enlarged to {sizes.size}")
    if face.width < SMALL_FACE * crop.width:
        share = 100 * face.width / crop.width
        notes.append(f"the face is {share:.0f} % as wide as the portrait: 50 to 70 % work best")

    face, lip = (_inside(box, crop) for box in (face, lip))
    side = round(crop.width)
    x0, y0 = round(crop.x0), round(crop.y0)
    masks = motion_masks(face, lip, side, side, sizes.mask_side, sizes.mask_levels)
    arrays: Arrays = {
        "portrait": network_picture(image[y0 : y0 + side, x0 : x0 + side], sizes.size),
        "region_mask": region_mask(face, side, side, sizes.size),
        "face_embedding": _embedding(hints, found, sizes.embedding, notes),
        "face_box": np.array(face, np.float32) * (sizes.size / side),
        "lip_box": np.array(lip, np.float32) * (sizes.size / side),
    }
    for name, levels in zip(("background", "face", "lip"), masks, strict=True):
        arrays |= {f"{name}_mask_{level}": mask for level, mask in enumerate(levels)}
    return arrays, notes


def network_picture(image: NDArray[np.uint8], size: int) -> NDArray[np.float32]:
    """Picture uint8 [h, w, 3] -> [3, size, size] in -1..1. Squashes what is not square: crop first."""
    resized = Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR)
    return np.ascontiguousarray(np.asarray(resized, np.float32).transpose(2, 0, 1) / 255 * 2 - 1)


def square_crop(height: int, width: int, face: Box | None, size: int) -> Box:
    """The square of a picture that is used, in whole pixels.

    A square picture is used whole. Of others: the square around the face with a margin of half its size on each side,
    not smaller than `size` if the picture allows, moved to lie inside; the largest in the middle if no face is known.
    """
    limit = min(height, width)
    if height == width or face is None:
        side, centre_x, centre_y = limit, width / 2, height / 2
    else:
        side = min(limit, max(round(CROP_PER_FACE * max(face.width, face.height)), size))
        centre_x, centre_y = (face.x0 + face.x1) / 2, (face.y0 + face.y1) / 2
    x0 = min(max(round(centre_x - side / 2), 0), width - side)
    y0 = min(max(round(centre_y - side / 2), 0), height - side)
    return Box(x0, y0, x0 + side, y0 + side)


def _the_face(faces: list[FoundFace], hints: PortraitHints) -> FoundFace | None:
    """The one face to animate: the one in face_box if that is given. None only if face_box stands in for it."""
    if not faces:
        if hints.face_box:
            return None
        raise NoFace(
            "no face was found in the portrait: use a picture with a clearly visible face, or say where it is with "
            "face_box: [x, y, width, height]"
        )
    if hints.face_box:
        face = max(faces, key=lambda f: _overlap(f.box, hints.face_box))
        if _overlap(face.box, hints.face_box) == 0:
            return None
    elif len(faces) > 1 and hints.several == "refuse":
        boxes = "; ".join(f"[{', '.join(str(round(v)) for v in f.box)}]" for f in faces)
        raise SeveralFaces(
            f"{len(faces)} faces were found in the portrait, at {boxes}: crop the picture to one of them, or choose "
            "one with face_box"
        )
    else:
        face = max(faces, key=lambda f: f.box.width * f.box.height)
    turn = turn_degrees(face.landmarks)
    if turn > MOST_TURN:
        raise FaceTurned(
            f"the face in the portrait is turned by about {turn:.0f} degrees, at most {MOST_TURN:.0f} work: use a "
            "picture that looks towards the camera"
        )
    return face


def _regions(
    image: NDArray[np.uint8],
    hints: PortraitHints,
    found: FoundFace | None,
    mesh: NDArray[np.float64] | None,
    notes: list[str],
) -> tuple[Box | None, Box | None]:
    """Grown boxes of face and lips in the portrait's pixels, from the best that is known of each."""
    height, width = image.shape[:2]
    face = expand_region(hints.face_box, FACE_EXPAND, height, width) if hints.face_box else None
    lip = expand_region(hints.lip_box, LIP_EXPAND, height, width) if hints.lip_box else None
    if mesh is not None:
        mesh_face, mesh_lip = regions_from_mesh(mesh, height, width)
        return face or mesh_face, lip or mesh_lip
    if found is not None:
        if face is None:
            face = expand_region(found.box, FACE_EXPAND, height, width)
            notes.append("no face mesh: the face region is the detector's box")
        if lip is None:
            lip = expand_region(_mouth(found.landmarks), LIP_EXPAND, height, width)
            notes.append("no face mesh: the lip region was taken from the corners of the mouth")
    return face, lip


def _mouth(landmarks: NDArray[np.float64]) -> Box:
    left, right = landmarks[3], landmarks[4]
    middle, reach = (left + right) / 2, float(np.linalg.norm(right - left)) / 2
    return Box(middle[0] - reach, middle[1] - LIP_HEIGHT * reach, middle[0] + reach, middle[1] + LIP_HEIGHT * reach)


def _embedding(hints: PortraitHints, found: FoundFace | None, length: int, notes: list[str]) -> NDArray[np.float32]:
    given = hints.face_embedding if hints.face_embedding is not None else found.embedding if found else None
    if given is None:
        notes.append(NO_EMBEDDING)
        return np.zeros(length, np.float32)
    embedding = np.asarray(given, np.float32).reshape(-1)
    if len(embedding) != length or not np.isfinite(embedding).all():
        raise PortraitProblem(f"face_embedding has {len(embedding)} numbers: {length} finite numbers are expected")
    return embedding


def check_boxes(hints: PortraitHints, height: int, width: int) -> None:
    """Raises BadBox for a box that does not lie in a portrait of this size."""
    for name, box in (("face_box", hints.face_box), ("lip_box", hints.lip_box)):
        _check_box(name, box, height, width)


def _check_box(name: str, box: Box | None, height: int, width: int) -> None:
    if box is None:
        return
    x0, y0, x1, y1 = box
    if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
        raise BadBox(
            f"{name} is {[round(v, 1) for v in box]} and the portrait {width} x {height} pixels: expected x0, y0, x1, "
            "y1 inside of it, x0 below x1 and y0 below y1"
        )


def _inside(box: Box, crop: Box) -> Box:
    """The box in the crop's own pixels, cut to it."""
    side = crop.width
    return Box(*(min(max(v - low, 0), side) for v, low in zip(box, (*crop[:2], *crop[:2]), strict=True)))


def _overlap(a: Box, b: Box | None) -> float:
    if b is None:
        return 0.0
    across, down = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
    return max(across, 0.0) * max(down, 0.0)
