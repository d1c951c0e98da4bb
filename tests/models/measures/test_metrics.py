"""Measures of finished videos, on curves made up and on drawn people of whom everything is known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch

from models.data.drawn_takes import Drawing, draw_take
from models.data.takes import Take
from models.drawn.pose import Pose
from models.measures import course
from models.measures.course import Course
from models.measures.picture import Regions, Seen, look, mouth_darkness
from models.measures.video import measure
from models.speech.spectrum import SAMPLE_RATE
from tests.support.training_speech import corpus

RNG = np.random.default_rng(0)
TARGET = np.clip(np.convolve(RNG.standard_normal(520), np.ones(6) / 3, "same"), 0, 1)[:500]
STEADY = Seen(0.1, 0.2, 0.05, 0.01, (0.5, 0.4, 0.3), np.ones(3, np.float32) / 3**0.5, (0.0, 0.0), 0.01, 0.001)


def of(frames: list[Seen], target: np.ndarray = TARGET) -> Course:
    return Course(frames, target[: len(frames)])


def speaking(mouth: np.ndarray) -> list[Seen]:
    return [replace(STEADY, mouth=float(value)) for value in mouth]


@pytest.mark.parametrize("late", [-4, 0, 3])
def test_a_late_mouth_is_late(late: int) -> None:
    found = course.summary(of(speaking(np.roll(TARGET, late) * 0.3 + 0.05)))
    assert found["mouth_lag_frames"] == late
    if late == 0:
        assert found["mouth_r"] == pytest.approx(1)
    assert abs(found["mouth_r_shuffled"]) < 0.2


def test_a_still_mouth_says_nothing() -> None:
    found = course.summary(of([STEADY] * 500))
    assert found["mouth_r"] is None
    assert found["mouth_lag_frames"] is None
    assert found["identity_drift"] == pytest.approx(0)
    assert found["sharpness_ratio"] == 1
    assert found["border_ratio"] == pytest.approx(1)


def test_silence_is_told_from_speech() -> None:
    target = np.where(np.arange(500) % 100 < 50, TARGET.clip(0.3), 0)
    moving = np.where(target > 0, RNG.random(500), 0.0)
    assert course.movement_in_silence(moving, target) < 0.05
    chatter = RNG.random(500)
    assert course.movement_in_silence(chatter, target) == pytest.approx(1, abs=0.2)


def test_jumps_at_clip_borders_are_seen() -> None:
    jumping = [replace(STEADY, change=0.03 if frame % 16 == 0 else 0.01) for frame in range(200)]
    assert course.border_ratio(of(jumping)) == pytest.approx(3)


def test_another_face_at_the_end_is_seen() -> None:
    other = replace(STEADY, likeness=np.array([1, -1, 0], np.float32) / 2**0.5, sharpness=0.04, grain=0.03)
    found = course.summary(of([STEADY] * 250 + [other] * 250))
    assert found["identity_drift"] == pytest.approx(1)
    assert found["sharpness_ratio"] == pytest.approx(0.8)
    assert found["grain_ratio"] == pytest.approx(3)  # speckle that sharpness alone would have hidden


def test_blinks_are_counted() -> None:
    eyes = 0.2 + 0.002 * RNG.standard_normal(1500)
    for start in range(50, 1500, 100):
        eyes[start : start + 4] = 0.05
    assert course.blinks(eyes) == 15
    assert course.blinks(0.2 + 0.002 * RNG.standard_normal(1500)) == 0


def test_a_frozen_picture_is_found() -> None:
    frozen = [replace(STEADY, change=0.0 if 100 <= frame < 150 else 0.01) for frame in range(300)]
    assert course.longest_still(of(frozen)) == 2


def test_curves_are_by_second() -> None:
    curves = course.per_second(of([STEADY] * 130))
    assert {len(values) for values in curves.values()} == {6}
    assert [one["start"] for one in course.per_minute(of([STEADY] * 3100, np.zeros(3100)))] == [0, 60]


def test_an_open_mouth_is_dark() -> None:
    lips = np.full((20, 20), 0.6, np.float32)
    opened = lips.copy()
    opened[8:14] = 0.1
    soft = lips.copy()
    soft[8:14] = 0.45
    assert mouth_darkness(lips) == 0 < mouth_darkness(soft) < mouth_darkness(opened)
    assert mouth_darkness(opened) == pytest.approx(mouth_darkness(opened / 3), rel=1e-4)  # the same in dim light


def test_a_mouth_is_looked_for_where_the_head_is() -> None:
    """A head that moves with a shut mouth opens none, and one that speaks elsewhere is seen."""
    face = cv2.GaussianBlur(RNG.random((96, 96, 3)).astype(np.float32), (0, 0), 3) * 0.2 + 0.6
    opened = face.copy()
    opened[62:68, 40:56] = 0.1
    regions = Regions((16.0, 16.0, 80.0, 80.0), (36.0, 60.0, 60.0, 68.0))

    def mouth(picture: np.ndarray, moved: int) -> float:
        return look(np.roll(picture, (moved, moved), (0, 1)), regions, None, face).mouth

    assert mouth(face, 5) == pytest.approx(mouth(face, 0), abs=0.01)
    assert mouth(opened, 5) == pytest.approx(mouth(opened, 0), rel=0.15)


@pytest.fixture(scope="module")
def take(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Take]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield draw_take(3, Drawing(corpus(tmp_path_factory.mktemp("speech")), "train", 96, 75, 1))
    torch.set_num_threads(threads)


def write_video(path: Path, take: Take, size: int = 96) -> None:
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25, options={"crf": "12"})
        video.width, video.height, video.pix_fmt = size, size, "yuv420p"
        audio = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
        for picture in take.frames:
            frame = av.VideoFrame.from_ndarray(picture.permute(1, 2, 0).contiguous().numpy(), "rgb24")
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        wave = take.speech[take.before * 640 : (take.before + len(take.frames)) * 640]
        sound = av.AudioFrame.from_ndarray(wave[None].numpy(), "fltp", "mono")
        sound.sample_rate, sound.pts = SAMPLE_RATE, 0
        container.mux(audio.encode(sound))
        container.mux(audio.encode(None))


def test_drawn_mouths_are_measured_right(take: Take, tmp_path: Path) -> None:
    write_video(tmp_path / "take.mp4", take)
    boxes = [tuple(box.tolist()) for box in (take.face_boxes[0], take.lip_boxes[0])]
    found = measure(tmp_path / "take.mp4", Regions(*boxes), (0, 0, 96))  # type: ignore[arg-type]
    assert len(found.seen) == 75
    assert take.truth is not None
    opening = take.truth[:, [field.name for field in fields(Pose)].index("opening")].numpy()
    mouth = np.array([one.mouth for one in found.seen])
    assert course.correlation(mouth, opening) > 0.85
    r, lag = course.best_lag(mouth, found.target)
    assert r > 0.7
    assert abs(lag or 0) <= 1


def test_a_video_without_sound_is_refused(take: Take, tmp_path: Path) -> None:
    with av.open(str(tmp_path / "mute.mp4"), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width = video.height = 96
        video.pix_fmt = "yuv420p"
        picture = take.frames[0].permute(1, 2, 0).contiguous().numpy()
        container.mux(video.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(video.encode(None))
    with pytest.raises(ValueError, match="holds no sound"):
        measure(tmp_path / "mute.mp4", Regions((10, 10, 80, 80), (30, 60, 60, 80)), (0, 0, 96))
