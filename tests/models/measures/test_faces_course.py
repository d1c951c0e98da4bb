"""What a film's faces say together, on courses made up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from models.measures.faces_course import blinks, course_of, per_minute, per_second, summary, swim
from models.measures.mesh import face_numbers
from models.measures.watching import SeenFace, Watched
from tests.support.mesh_points import mesh_points

RNG = np.random.default_rng(0)
ASKED = np.clip(np.convolve(RNG.standard_normal(320), np.ones(6) / 3, "same"), 0, 1)[:300]
OPEN = 0.3


def seen(sharpness: float = 6.0, detail: float = 1.4, distance: float | None = 0.2, **face: float) -> SeenFace:
    return SeenFace(face_numbers(mesh_points(**face)), sharpness, detail, distance)  # type: ignore[arg-type]


def film(faces: Sequence[SeenFace | None], rate: float = 25.0) -> Watched:
    return Watched([frame / rate for frame in range(len(faces))], list(faces), 5.0, 36.789)


def speaking(asked: np.ndarray) -> list[SeenFace | None]:
    return [seen(opening=0.01 + 0.1 * value) for value in asked]


def test_lips_that_follow_the_sound() -> None:
    found = summary(course_of(film(speaking(ASKED)), ASKED, ASKED**2))
    assert found["lips_r"] == pytest.approx(1, abs=1e-3)
    assert found["lips_lag_frames"] == 0
    assert abs(found["lips_r_shuffled"] or 1) < 0.35
    assert 0.8 < (found["lips_r_loudness"] or 0) < 0.99
    assert found["lips_open_in_quiet"] == pytest.approx(0.01, abs=0.004)
    assert found["lips_reach"] == pytest.approx(0.1 * np.ptp(np.percentile(ASKED, [5, 95])), abs=1e-3)


@pytest.mark.parametrize("late", [-3, 0, 2])
def test_late_lips_are_late(late: int) -> None:
    found = summary(course_of(film(speaking(np.roll(ASKED, late))), ASKED))
    assert found["lips_lag_frames"] == late
    assert found["lips_r_at_lag"] > 0.95
    assert late == 0 or found["lips_r"] < 0.95


def test_a_mouth_that_stands_still_follows_nothing() -> None:
    found = summary(course_of(film([seen(opening=0.03)] * 300), ASKED))
    assert (found["lips_r"], found["lips_reach"]) == (0, 0)


def test_other_rates_than_25_are_held_against_the_sound_at_their_own_times() -> None:
    at = np.interp(np.arange(360) / 30, np.arange(300) / 25, ASKED)
    course = course_of(film(speaking(at), 30.0), ASKED)
    assert course.rate == pytest.approx(30)
    assert summary(course)["lips_r"] == pytest.approx(1, abs=1e-3)
    assert len(per_second(course)["lips"]) == 12


def test_without_sound_and_without_a_portrait() -> None:
    watched = film(speaking(ASKED))
    watched.portrait_sharpness = watched.first_face_db = None
    found = summary(course_of(watched))
    missing = {"lips_r", "lips_lag_frames", "lips_r_shuffled", "lips_open_in_quiet", "face_sharpness", "first_face_db"}
    assert {name for name in missing if found[name] is None} == missing
    assert found["lips_reach"] > 0
    assert "lips_sync" not in per_second(course_of(watched))


def test_blinks_are_short_falls() -> None:
    lids = np.full(1500, OPEN)
    for start, length in ((100, 5), (400, 8), (900, 12), (1200, 60)):  # the last: eyes that are held shut
        lids[start : start + length] = 0.1
    lids[600:606] = 0.8 * OPEN  # no blink
    assert blinks(lids, 25.0) == pytest.approx(3)
    assert blinks(lids, 50.0) == pytest.approx(6)
    assert blinks(lids[:50], 25.0) is None


def test_smooth_motion_is_no_swimming() -> None:
    glide = np.cumsum(np.full((200, 6, 2), 0.001), 0)
    shake = glide + 0.01 * RNG.standard_normal(glide.shape)
    assert swim(glide) < 2e-4
    assert swim(shake) == pytest.approx(0.01 * np.sqrt(0.8), rel=0.1)


def test_where_nobody_is_found_the_frame_before_stands() -> None:
    faces: list[SeenFace | None] = [seen(opening=0.05)] * 40
    faces[10:13] = [None] * 3
    course = course_of(film(faces), ASKED)
    found = summary(course)
    assert found["frames_without_a_face"] == 3
    assert np.ptp(course.opening) == 0
    assert np.isnan(course.sharpness).sum() == 3
    assert per_second(course)["without_a_face"] == [pytest.approx(3 / 25), 0]


def test_nobody_at_all() -> None:
    found = summary(course_of(film([None] * 40), ASKED))
    assert found["frames_without_a_face"] == 40
    assert found["lips_r"] == 0
    assert found["likeness_distance"] is None
    assert found["mouth_detail"] is None


def test_likeness_sharpness_and_detail_of_the_open_mouth() -> None:
    distances = [0.1 + 0.004 * frame if frame % 5 == 0 else None for frame in range(100)]
    faces: list[SeenFace | None] = [
        seen(opening=0.1 if frame % 3 == 0 else 0.0, detail=2.0 if frame % 3 == 0 else 1.0, distance=distance)
        for frame, distance in enumerate(distances)
    ]
    found = summary(course_of(film(faces)))
    told = [value for value in distances if value is not None]
    assert found["likeness_distance"] == pytest.approx(np.median(told), abs=1e-4)
    assert found["likeness_distance_95"] == pytest.approx(np.percentile(told, 95), abs=1e-4)
    assert found["face_sharpness"] == pytest.approx(6 / 5)
    assert found["mouth_detail"] == 2
    assert found["first_face_db"] == 36.79


def test_minute_by_minute() -> None:
    still = [seen(lids=OPEN)] * 1500
    faces: list[SeenFace | None] = [*still, *([seen(lids=0.05)] * 5 + [seen(lids=OPEN)] * 295) * 5, *still[:300]]
    found = per_minute(course_of(film(faces), np.resize(ASKED, len(faces))))
    assert [one["start"] for one in found] == [0, 60]  # twelve seconds more belong to the minute before
    assert found[0]["lid_blinks_per_minute"] == 0
    assert found[1]["lid_blinks_per_minute"] == pytest.approx(5 * 1500 / 1800, abs=0.1)
