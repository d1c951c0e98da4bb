"""Faces in a portrait: the published ONNX detector and embedder, the torch detector, and the face mesh.

All of it is optional. A finder takes a picture uint8 [h, w, 3] RGB and returns the faces in it. Importing this module
needs neither onnxruntime nor mediapipe; using what is built on them does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from models.faces.detection import detect_enlarged, suppress
from models.faces.retinaface import FaceDetector
from models.image.alignment import TEMPLATE
from models.image.masks import Box

DETECTOR_SIDE = 640
DETECTOR_STRIDES = (8, 16, 32)
DETECTOR_SCORE, DETECTOR_OVERLAP = 0.5, 0.4
EMBEDDED_SIDE = 112
# Eyes, nose, corners of the mouth in the crop that the embedder knows.
EMBEDDED_TEMPLATE = ((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041))
# How far the five points of a usual head stand out towards the viewer, in pixels of the 512 template.
DEPTH = (0.0, 0.0, 56.0, 14.0, 14.0)


@dataclass(frozen=True)
class FoundFace:
    box: Box
    score: float
    landmarks: NDArray[np.float64]  # [5, 2] eyes, nose, corners of the mouth
    embedding: NDArray[np.float32] | None = None  # [512], not normalised


Finder = Callable[[NDArray[np.uint8]], list[FoundFace]]


class OnnxFaces:
    """The published detector (SCRFD, file `scrfd_10g_bnkps.onnx`) and, if given, embedder (`glintr100.onnx`)."""

    def __init__(self, detector: Any, embedder: Any | None = None) -> None:
        """Both are onnxruntime sessions; `open_onnx` makes them from files."""
        self.detector = detector
        self.embedder = embedder

    def __call__(self, image: NDArray[np.uint8]) -> list[FoundFace]:
        faces = self._detect(image)
        if self.embedder is None:
            return faces
        return [replace(face, embedding=self._embed(image, face.landmarks)) for face in faces]

    def _detect(self, image: NDArray[np.uint8]) -> list[FoundFace]:
        height, width = image.shape[:2]
        scale = DETECTOR_SIDE / max(height, width)
        size = (int(width * scale), int(height * scale))
        canvas = np.zeros((DETECTOR_SIDE, DETECTOR_SIDE, 3), np.uint8)
        canvas[: size[1], : size[0]] = cv2.resize(image, size)
        outputs = _run(self.detector, (canvas.astype(np.float32) - 127.5) / 128)
        levels = len(DETECTOR_STRIDES)
        scores, boxes, points = [], [], []
        for level, stride in enumerate(DETECTOR_STRIDES):
            cells = DETECTOR_SIDE // stride
            grid = np.stack(np.meshgrid(np.arange(cells), np.arange(cells)), axis=-1).reshape(-1, 2) * stride
            centre = np.repeat(grid, 2, axis=0).astype(np.float32)  # two anchors a cell
            score = outputs[level].reshape(-1)
            rows = score >= DETECTOR_SCORE
            reach = outputs[levels + level].reshape(-1, 4)[rows] * stride
            scores.append(score[rows])
            boxes.append(np.hstack([centre[rows] - reach[:, :2], centre[rows] + reach[:, 2:]]))
            offset = outputs[2 * levels + level].reshape(-1, 5, 2)[rows] * stride
            points.append(centre[rows][:, None] + offset)
        score, box, point = (np.concatenate(parts) for parts in (scores, boxes, points))
        kept = suppress(torch.from_numpy(box), torch.from_numpy(score), DETECTOR_OVERLAP).tolist()
        return [
            FoundFace(Box(*(box[i] / scale).tolist()), float(score[i]), (point[i] / scale).astype(np.float64))
            for i in kept
        ]

    def _embed(self, image: NDArray[np.uint8], landmarks: NDArray[np.float64]) -> NDArray[np.float32]:
        crop = cv2.warpAffine(image, similarity(landmarks, np.array(EMBEDDED_TEMPLATE)), (EMBEDDED_SIDE,) * 2)
        return _run(self.embedder, (crop.astype(np.float32) - 127.5) / 127.5)[0].reshape(-1).astype(np.float32)


def _run(session: Any, picture: NDArray[Any]) -> list[NDArray[np.float32]]:
    """picture [h, w, 3] -> all outputs of a session that takes [1, 3, h, w]."""
    return session.run(None, {session.get_inputs()[0].name: np.float32(picture.transpose(2, 0, 1)[None])})


def open_onnx(path: Path) -> Any:
    """A session on the CPU with one thread, so that its numbers do not depend on the machine's cores."""
    try:
        import onnxruntime
    except ImportError as error:
        raise RuntimeError(
            f"{path.name} needs the package onnxruntime, which is not installed: "
            "install longtake[faces], or do without that file"
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def torch_finder(net: FaceDetector) -> Finder:
    """A finder from the restorer's own face detector; it gives no embedding."""

    def find(image: NDArray[np.uint8]) -> list[FoundFace]:
        faces = detect_enlarged(net, torch.from_numpy(image).permute(2, 0, 1) / 255)
        return [
            FoundFace(Box(*box.tolist()), float(score), points.double().numpy())
            for box, score, points in zip(faces.boxes, faces.scores, faces.landmarks, strict=True)
        ]

    return find


def mesh_finder(model: Path) -> Callable[[NDArray[np.uint8]], NDArray[np.float64] | None]:
    """The 478-point mesh of the one face in a picture, in pixels [478, 2]; None where there is not exactly one."""
    try:
        import mediapipe
        from mediapipe.tasks import python as tasks
        from mediapipe.tasks.python import vision
    except ImportError as error:
        raise RuntimeError(
            f"{model.name} needs the package mediapipe, which is not installed: "
            "install longtake[faces], or give face_box and lip_box in the manifest"
        ) from error
    options = vision.FaceLandmarkerOptions(base_options=tasks.BaseOptions(model_asset_path=str(model)))
    landmarker = vision.FaceLandmarker.create_from_options(options)

    def find(image: NDArray[np.uint8]) -> NDArray[np.float64] | None:
        picture = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(image))
        meshes = landmarker.detect(picture).face_landmarks
        if len(meshes) != 1:
            return None
        height, width = image.shape[:2]
        return np.array([[point.x * width, point.y * height] for point in meshes[0]])

    return find


def similarity(points: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """The turn, even scale and shift [2, 3] that brings points [n, 2] closest to target (least squares)."""
    z, w = points @ [1, 1j], target @ [1, 1j]
    turn = np.vdot(z - z.mean(), w - w.mean()) / np.vdot(z - z.mean(), z - z.mean()).real
    shift = w.mean() - turn * z.mean()
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def turn_degrees(landmarks: NDArray[np.float64]) -> float:
    """How far a face is turned away to the side, 0 for one that looks at the viewer, from its five points [5, 2].

    The points are taken for a usual head's, seen from afar. Good to some ten degrees.
    """
    head = np.column_stack([np.array(TEMPLATE), DEPTH])
    head = head - head.mean(0)
    seen = landmarks - landmarks.mean(0)
    rows = np.linalg.lstsq(head, seen, rcond=None)[0].T  # two rows of a scaled rotation
    right, down = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    roll = np.arctan2(down[0], right[0])
    sideways = right[2] * np.cos(roll) + down[2] * np.sin(roll)
    return float(np.degrees(np.arctan2(abs(sideways), abs(np.cross(right, down)[2]))))
