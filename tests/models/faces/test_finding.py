"""Small faces, and what is like a face to a network but has not a face's shape."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.faces import face_points
from models.faces.face_points import BENT, UNBENT, FacePoints, bent, load_face_points, looked_at, read_faces, square_of
from models.puppet.topology import canonical
from models.weights.shipped import FOLDER

PHOTOGRAPH = Path(__file__).parents[3] / "examples/photograph.png"


@pytest.fixture(scope="module")
def network() -> FacePoints:
    return load_face_points(FOLDER / "photo/face_points.safetensors")


def test_a_face_in_any_pose_is_not_bent_and_points_that_lie_anyhow_are() -> None:
    points = torch.from_numpy(canonical().points).float() * 100
    turned = points @ torch.linalg.qr(torch.tensor([[1.0, 0.3, 0.2], [-0.3, 1, 0.1], [-0.2, -0.1, 1]]))[0]
    assert bent(points) < 1e-4
    assert bent(turned) < 1e-4
    generator = torch.Generator().manual_seed(1)
    assert bent(points + 3 * torch.randn(points.shape, generator=generator)) > UNBENT
    assert bent(points + 12 * torch.randn(points.shape, generator=generator)) > BENT


@pytest.mark.parametrize(("height", "width"), [(500, 500), (300, 900), (1400, 400)])
def test_every_place_of_a_picture_is_seen_large(height: int, width: int) -> None:
    squares = list(looked_at(height, width))
    least = min(square.side for square in squares)
    for y in range(0, height, 20):
        for x in range(0, width, 20):
            near = [one for one in squares if max(abs(one.x - x), abs(one.y - y)) <= one.side / 2]
            assert min(one.side for one in near) == least


def test_a_small_face_is_found_in_a_part_of_the_picture(network: FacePoints, monkeypatch: pytest.MonkeyPatch) -> None:
    """A face of a seventeenth of the height in a dark, uneven picture."""
    portrait = Image.open(PHOTOGRAPH).convert("RGB")
    random = np.random.default_rng(3)
    around = Image.fromarray(random.integers(0, 90, (9, 9, 3), np.uint8)).resize((1400, 1400), Image.Resampling.BICUBIC)
    around.paste(portrait.resize((160, 200)), (900, 850))
    picture = torch.from_numpy(np.array(around)).permute(2, 0, 1)
    (face,) = read_faces(network, picture)
    where = square_of(face.points)
    assert (where.x, where.y) == pytest.approx((900 + 0.505 * 160, 850 + 0.39 * 200), abs=15)
    monkeypatch.setattr(face_points, "PARTS_OF_IT", ())
    assert not read_faces(network, picture), "nor does it look like one in the whole"
