"""Runs in the sensors' own environment, as a script: pictures in, what the networks say of them out.

Imports nothing of Longtake: its packages are another environment's. In, on stdin: a line of JSON, {"do", "height",
"width"}, then height x width x 3 bytes, red first. Out, on stdout: a line of JSON for each.

- `still`: landmarks of a face in a picture by itself: {"points": [478 x [x, y, z]]} in its pixels, or null;
- `next`: of a film's next picture, following the one before;
- `restart`: a film begins, no picture;
- `describe`: the 128 numbers of a face, 150 pixels a side: {"face": [...]}.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, BinaryIO, TypedDict

if TYPE_CHECKING:
    from mediapipe.solutions.face_mesh import FaceMesh

CONFIDENCE = 0.4  # of a face, from which it is one


class Asked(TypedDict, total=False):
    do: str
    height: int
    width: int


class Networks:
    def __init__(self, face_network: str) -> None:
        import dlib
        import mediapipe
        import numpy

        self._numpy = numpy
        self._mesh = mediapipe.solutions.face_mesh.FaceMesh
        self._still, self._film = self._new(True), self._new(False)
        self._face = dlib.face_recognition_model_v1(face_network)

    def answer(self, asked: Asked, data: bytes) -> dict[str, object]:
        if asked["do"] == "restart":
            self._film.close()
            self._film = self._new(False)
            return {}
        picture = self._numpy.frombuffer(data, self._numpy.uint8).reshape(asked["height"], asked["width"], 3)
        if asked["do"] == "describe":
            return {"face": list(self._face.compute_face_descriptor(picture))}
        mesh = self._still if asked["do"] == "still" else self._film
        found = mesh.process(picture).multi_face_landmarks
        if not found:
            return {"points": None}
        height, width = picture.shape[:2]
        return {"points": [[p.x * width, p.y * height, p.z * width] for p in found[0].landmark]}

    def _new(self, still: bool) -> FaceMesh:
        return self._mesh(
            static_image_mode=still, max_num_faces=1, refine_landmarks=True, min_detection_confidence=CONFIDENCE
        )


def serve(networks: Networks, asked: BinaryIO, said: BinaryIO) -> None:
    while line := asked.readline():
        one: Asked = json.loads(line)
        data = asked.read(one.get("height", 0) * one.get("width", 0) * 3)
        said.write(json.dumps(networks.answer(one, data)).encode() + b"\n")
        said.flush()


def main() -> None:
    said = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever the libraries print is no answer
    serve(Networks(sys.argv[1]), sys.stdin.buffer, said)


if __name__ == "__main__":
    main()
