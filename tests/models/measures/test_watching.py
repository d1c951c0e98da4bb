"""A film, watched: by a network that knows what it will say."""

from __future__ import annotations

import subprocess
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest

from models.measures.faces_course import course_of, summary
from models.measures.watching import EVERY, find_face, pictures, read_face, tiles, watch
from tests.support.mesh_points import KnownFace, Points, mesh_points


def write_film(path: Path, frames: int, size: tuple[int, int] = (96, 64), rate: int = 25, light: int = 120) -> Path:
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=rate, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for _ in range(frames):
            picture = np.full((size[1], size[0], 3), light, np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode())
    return path


def test_a_film_is_watched_frame_by_frame(tmp_path: Path) -> None:
    path = write_film(tmp_path / "film.mp4", 30)
    sensors = KnownFace(lambda frame: None if frame in (7, 8) else mesh_points(opening=0.01 * (frame % 4)))
    portrait = read_face(np.full((80, 80, 3), 120, np.uint8), sensors)
    assert portrait is not None
    kept: list[Points | None] = []
    told: list[int] = []
    watched = watch(path, portrait, sensors, told.append, kept.append)
    assert (
        [one is None for one in watched.seen]
        == [frame in (7, 8) for frame in range(30)]
        == [one is None for one in kept]
    )
    assert watched.times == pytest.approx(np.arange(30) / 25, abs=1e-3)
    compared = [frame for frame, one in enumerate(watched.seen) if one and one.distance is not None]
    assert compared == list(range(0, 30, EVERY))
    assert watched.first_face_db is not None
    assert told == list(range(1, 31))
    found = summary(course_of(watched))
    assert found["frames_without_a_face"] == 2
    assert found["likeness_distance"] < 0.03  # as bright


def test_a_face_that_comes_later_is_found(tmp_path: Path) -> None:
    sensors = KnownFace(lambda frame: mesh_points(), lambda number: mesh_points() if number >= 40 else None)
    watched = watch(write_film(tmp_path / "film.mp4", 20), None, sensors)
    first = next(frame for frame, one in enumerate(watched.seen) if one)
    assert 0 < first < 20
    assert all(watched.seen[first:])
    assert watched.first_face_db is None
    assert all(one is None or one.distance is None for one in watched.seen)


def test_small_faces_are_found_in_tiles() -> None:
    """In the picture's own pixels."""
    whole = len(list(tiles(300, 400)))
    for hit in range(1, whole + 1):
        sensors = KnownFace(lambda frame: None, lambda number, hit=hit: mesh_points() if number == hit else None)
        found = find_face(np.zeros((300, 400, 3), np.uint8), sensors)
        x, y, _ = list(tiles(300, 400))[hit - 1]
        assert found == pytest.approx(mesh_points()[:, :2] + [x, y])
    assert find_face(np.zeros((300, 400, 3), np.uint8), KnownFace(lambda frame: None, lambda number: None)) is None


def test_every_place_is_in_some_tile() -> None:
    for height, width in ((300, 400), (2000, 500), (64, 64)):
        covered = np.zeros((height, width), bool)
        for x, y, side in tiles(height, width):
            covered[y : y + side, x : x + side] = True
        assert covered.all()


def test_pictures_have_the_times_of_the_film(tmp_path: Path) -> None:
    found = list(pictures(write_film(tmp_path / "film.mp4", 12, rate=30)))
    assert [time for time, _ in found] == pytest.approx(np.arange(12) / 30, abs=1e-3)
    assert found[0][1].shape == (64, 96, 3)
    assert np.abs(found[0][1].astype(int) - 120).max() < 4


@pytest.mark.parametrize("turned", [90, 180, 270])
def test_a_film_held_sideways_is_seen_upright(tmp_path: Path, turned: int) -> None:
    """As ffmpeg itself shows it."""
    lying, told = tmp_path / "lying.mp4", tmp_path / "told.mp4"
    with av.open(str(lying), "w") as file:
        stream = file.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        picture = np.zeros((64, 96, 3), np.uint8)
        picture[:20, :30] = 255
        file.mux([*stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")), *stream.encode()])
    ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error"]
    subprocess.run([*ffmpeg, "-display_rotation", str(turned), "-i", lying, "-c", "copy", told], check=True)
    raw = [*ffmpeg, "-i", told, "-frames:v", "1", "-pix_fmt", "rgb24", "-f", "rawvideo", "-"]
    shown = subprocess.run(raw, capture_output=True, check=True).stdout
    ((_, found),) = pictures(told)
    assert found.shape == ((64, 96, 3) if turned == 180 else (96, 64, 3))
    assert found.tobytes() == shown
