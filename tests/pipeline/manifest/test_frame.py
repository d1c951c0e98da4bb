"""The picture's shape: the portrait's own where the family moves its pixels, else a square."""

from __future__ import annotations

from typing import Any

import pytest

from models.families.registry import HALLO2_FAMILY, PHOTO_FAMILY
from pipeline.manifest.film_shape import film_size, frame_fault
from pipeline.manifest.option_faults import faults_of
from pipeline.manifest.options import complete

MOVING = PHOTO_FAMILY
FACE = [10, 10, 50, 50]


@pytest.mark.parametrize(
    ("given", "portrait", "film"),
    [
        ({}, (600, 600), (1024, 1024)),
        ({}, (3000, 2000), (1536, 1024)),
        ({"resolution": 512}, (701, 999), (512, 730)),
        ({"resolution": 2160}, (1080, 1920), (2160, 3840)),
        ({}, (900, 300), (2048, 1024)),
        ({"frame": "square"}, (3000, 2000), None),
        ({"canvas": "1920x1080"}, (3000, 2000), None),
    ],
)
def test_the_shorter_edge_is_the_resolution(given: dict[str, Any], portrait: Any, film: Any) -> None:
    options = complete(given, MOVING)
    assert film_size(options, portrait) == film
    assert frame_fault(options, portrait) is None
    assert options.changed(film=film).frame_size == (film or options.frame_size)


def test_families_that_decode_make_squares() -> None:
    assert film_size(complete({}, HALLO2_FAMILY), (3000, 2000)) is None
    assert complete({}, HALLO2_FAMILY).frame_size == (1024, 1024)
    (fault,) = faults_of({"frame": "portrait"}, HALLO2_FAMILY)
    assert fault == ("frame", 'value "portrait": family hallo2 makes square pictures', "leave it out")
    assert list(faults_of({"frame": "square"}, HALLO2_FAMILY)) == []


def test_a_canvas_holds_a_square() -> None:
    (fault,) = faults_of({"frame": "portrait", "canvas": "1920x1080"}, MOVING)
    assert fault[0] == "frame"
    assert "leave out frame or canvas" in fault[2]


def test_a_picture_that_would_be_too_long_is_said_with_what_fits() -> None:
    name, text = frame_fault(complete({"resolution": 4096}, MOVING), (1500, 1000)) or ("", "")
    assert name == "resolution"
    assert "6144x4096" in text
    assert "expected 2730 or less, or frame: square" in text
    assert frame_fault(complete({"resolution": 4096}, MOVING), (1000, 1000)) is None
