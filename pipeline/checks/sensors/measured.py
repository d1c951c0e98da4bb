"""A film in numbers by the sensors: what `evaluate` adds to a title's, and all that it says of any other video."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
from numpy.typing import NDArray

from models.measures import faces_course
from models.measures.mesh import Points
from models.measures.watching import Portrait, Sensors, read_face, watch
from pipeline.checks.sensors.drawn_curves import drawn
from pipeline.checks.sensors.environment import sensors_environment
from pipeline.checks.sensors.process import SensorProcess
from pipeline.core.errors import UserError
from pipeline.sources.portrait import read_portrait

MESH = 478  # points of a face
TOLD = 1500  # frames between two words of how far a film is watched

SHOWN = (
    ("frames_without_a_face", "frames without a face"),
    ("lips_r", "lips follow the sound (r)"),
    ("lips_lag_frames", "lips late by frames"),
    ("lips_r_shuffled", "r with other sound"),
    ("lips_r_loudness", "r with loudness alone"),
    ("lips_open_in_quiet", "lips open in silence, of face height"),
    ("lips_reach", "lips' reach, of face height"),
    ("first_face_db", "first face to the portrait, dB"),
    ("face_sharpness", "face's sharpness, of the portrait's"),
    ("mouth_detail", "detail of the open mouth"),
    ("swim", "swim of bridge and eyes"),
    ("likeness_distance", "distance to the portrait, median"),
    ("likeness_distance_95", "and its 95th percentile"),
    ("lid_blinks_per_minute", "blinks a minute, by the lids"),
    ("lids_least", "lids nearest to shut"),
    ("gaze_spread", "gaze's spread, of eye width"),
    ("face_spread", "face's spread, of its width"),
)


@dataclass(frozen=True)
class AnyVideo:
    """What the command line says of a video. Raises UserError, before anything is installed for it."""

    video: Path
    portrait: Path | None = None
    sound: Path | None = None
    curves: Path | None = None
    landmarks: Path | None = None

    def __post_init__(self) -> None:
        if self.curves and self.curves.suffix.lower() not in (".json", ".svg"):
            raise UserError(f"--curves {self.curves}: expected a name that ends in .json or .svg")
        for name, file in (("--video", self.video), ("--portrait", self.portrait), ("--sound", self.sound)):
            if file is not None and not file.is_file():
                raise UserError(f"{name} {file}: no such file")
        _has_sound(self.video)
        if self.sound is not None and not _has_sound(self.sound):
            raise UserError(f"--sound {self.sound}: holds no sound; expected a recording or a video of what is said")


@dataclass(frozen=True)
class Watch:
    """Films are shown to it one after another."""

    sensors: Sensors
    say: Callable[[str], None]

    def film(self, path: Path, portrait: tuple[bytes, str] | None = None, title: str = "") -> dict[str, object]:
        """A title's video with its own sound; `portrait`: a picture's file and its name in messages."""
        face = None if portrait is None else read_face(read_portrait(*portrait), self.sensors)
        if portrait and face is None:
            self.say(f"{portrait[1]}: the networks find nobody in it: nothing is compared with it")
        return self._measured(path, face, path if _has_sound(path) else None, title or path.name)[0]

    def video(self, asked: AnyVideo) -> dict[str, object]:
        """Whatever video, with what the command line says of it; curves and landmarks are written."""
        face = None
        if asked.portrait:
            face = read_face(read_portrait(asked.portrait, str(asked.portrait)), self.sensors)
            if face is None:
                raise UserError(
                    f"--portrait {asked.portrait}: the networks find nobody in it; expected one face, seen from "
                    "before: give another picture of the same person, or none"
                )
        path, curves = asked.video, asked.curves
        heard = asked.sound or (path if _has_sound(path) else None)
        kept: list[Points | None] | None = [] if asked.landmarks else None
        found, times = self._measured(path, face, heard, path.name, kept)
        if asked.landmarks and kept is not None:
            missing = np.full((MESH, 3), np.nan)
            points = np.array([missing if one is None else one for one in kept], np.float32)
            _written(asked.landmarks, lambda file: np.savez_compressed(file, landmarks=points, times=times))
        if curves:
            told = drawn(found) if curves.suffix.lower() == ".svg" else json.dumps(found)
            _written(curves, lambda file: file.write(told.encode()))
        return found

    def _measured(
        self,
        path: Path,
        face: Portrait | None,
        sound: Path | None,
        title: str,
        kept: list[Points | None] | None = None,
    ) -> tuple[dict[str, object], NDArray[np.float64]]:
        with faults_of(path):
            keep = (lambda _: None) if kept is None else kept.append
            watched = watch(path, face, self.sensors, self._alive(title), keep)
        lips = loud = None
        if sound is not None:
            with faults_of(sound):  # by name: torch is imported where something is heard
                asked_of = import_module("models.measures.video").asked_of
                lips, loud = asked_of(sound, lips_meet=True), asked_of(sound)
        course = faces_course.course_of(watched, lips, loud)
        found: dict[str, object] = {
            "title": title,
            "frames": len(course.times),
            **faces_course.summary(course),
            "faces_per_minute": faces_course.per_minute(course),
            "per_second": faces_course.per_second(course),
        }
        return found, course.times

    def _alive(self, title: str) -> Callable[[int], None]:
        return lambda frame: self.say(f"{title}: {frame} frames watched") if frame % TOLD == 0 else None


@contextmanager
def watching(environment: Path | None, say: Callable[[str], None]) -> Iterator[Watch]:
    """`environment`: one that holds the networks; None: the usual one, which is made if it is not there."""
    with SensorProcess(sensors_environment(environment, say)) as sensors:
        yield Watch(sensors, say)


@contextmanager
def faults_of(path: Path) -> Iterator[None]:
    """What is wrong with a file, told as the user's mistake."""
    try:
        yield
    except (ValueError, av.error.FFmpegError) as error:
        raise UserError(f"{path.name}: {error}") from error


def _has_sound(path: Path) -> bool:
    try:
        with av.open(str(path)) as container:
            return bool(container.streams.audio)
    except av.error.FFmpegError as error:
        raise UserError(f"{path}: cannot be read as a video or as sound ({error})") from error


def _written(path: Path, write: Callable[[BinaryIO], object]) -> None:
    try:
        with path.open("wb") as file:
            write(file)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); name a place that can be") from error
