"""Blends of at least six portraits: the same every time, and nobody has more of it than is said."""

import json

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from models.data.blends.bands import MOST
from models.data.blends.portrait import FEWEST, blend_portraits, chosen, main
from models.drawn.splits import first_seeds
from models.families.noise_keys import noise_key
from tests.support.portrait_folder import a_face


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """Six made-up faces of the training split, one of the test split, one of another generator."""
    folder = tmp_path_factory.mktemp("faces")
    numbers = [*first_seeds("train", 7, start=70_000), *first_seeds("test", 1, start=70_000)]
    rows, points = [], []
    for place, number in enumerate(numbers):
        picture, at = a_face(0.03 * (place % 3 - 1), place)
        noise = np.random.default_rng(noise_key(number, "face", 0)).normal(scale=9, size=picture.shape)
        cv2.imwrite(str(folder / f"{place:04}.jpg"), (picture + noise).clip(0, 255).astype(np.uint8))
        rows.append({"name": f"{place:04}", "number": f"{number:07}", "yaw": 0.0, "pitch": 0.0, "roll": 0.0,
                     "generator": "SDXL" if place == 6 else "FLUX.1 schnell", "mouth_gap": 0.0,
                     "face_height": 100.0})  # fmt: skip
        points.append(at)
    (folder / "index.json").write_text(json.dumps(rows))
    np.savez(
        folder / "landmarks.npz", names=np.array([row["name"] for row in rows]), landmarks=np.array(points, np.float32)
    )
    return folder, [row["number"] for row in rows]


def test_a_blend_is_the_same_again_and_nobody_has_more_than_said(faces):
    folder, numbers = faces
    first, blend = blend_portraits(chosen(folder, numbers[:6]), 320)
    again, _ = blend_portraits(chosen(folder, numbers[5::-1]), 320)
    assert first.shape == (320, 256, 3)
    assert np.array_equal(first, again)
    assert blend.largest <= MOST + 1e-6
    assert sum(blend.shares) <= 1 + 1e-3
    assert max(blend.shares) < 0.25


@pytest.mark.parametrize(
    ("which", "why"),
    [
        ([0, 1, 2, 3, 4], f"expected {FEWEST}"),
        ([0, 1, 2, 3, 4, 4], f"expected {FEWEST}"),
        ([0, 1, 2, 3, 4, 7], "test split"),
        ([0, 1, 2, 3, 4, 6], "generator"),
    ],
)
def test_refused(faces, tmp_path, which, why):
    folder, numbers = faces
    names = ",".join(numbers[place] for place in which)
    result = CliRunner().invoke(main, [str(tmp_path / "out.png"), "--faces", str(folder), "--numbers", names])
    assert result.exit_code == 2
    assert why in result.output
    assert not (tmp_path / "out.png").exists()


def test_a_painting_is_made_of_a_blend(faces, tmp_path):
    folder, numbers = faces
    out = tmp_path / "out.png"
    result = CliRunner().invoke(
        main, [str(out), "--faces", str(folder), "--numbers", ",".join(numbers[:6]), "--size", "256", "--painting"]
    )
    assert result.exit_code == 0, result.output
    assert out.exists()
    assert "largest share" in result.output
