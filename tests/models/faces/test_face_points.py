"""Faces are found wherever they lie: squares, views that landmarks are learned from, a stage that learns."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.data.landmark_faces import LEFT_OUT, KnownFace, portraits_of
from models.data.landmark_views import MIRROR, crops, framed, mirrored, parts, views
from models.data.portraits import read_left_out, read_portraits
from models.faces.face_points import (
    AROUND,
    CELLS,
    FacePoints,
    Square,
    cut,
    found_faces,
    part_square,
    pyramid,
    read_faces,
    square_of,
)
from models.families.noise_keys import noise_key
from models.puppet.topology import POINTS
from models.training.landmarks import TrainingStage, measured
from models.training.settings import BadSettings, Settings
from tests.support.portrait_folder import a_face, portrait_folder


def known(lean: float = 0.0) -> KnownFace:
    picture, points = a_face(lean)
    levels = pyramid(torch.from_numpy(picture).permute(2, 0, 1).contiguous())
    return KnownFace(levels, torch.from_numpy(points).float(), torch.ones(POINTS), "one")


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return portrait_folder(tmp_path_factory.mktemp("faces"))


def test_a_square_leads_out_and_back() -> None:
    square = Square(100.0, 80.0, 60.0, 0.4)
    points = torch.randn(7, 3)
    torch.testing.assert_close(square.inwards(square.outwards(points)), points)
    assert square.outwards(torch.zeros(1, 2)).tolist() == [[100.0, 80.0]]


@pytest.mark.parametrize("lean", [-0.4, 0.0, 0.3])
def test_a_square_stands_as_the_face_does(lean: float) -> None:
    """Cut out by its own square, a face that leans is upright and in the middle."""
    face = known(lean)
    square = square_of(face.points)
    assert abs(square.tilt - lean) < 0.02
    inner = square.inwards(face.points)
    assert inner[[10, 152], 0].abs().max() < 0.05
    assert abs(float(inner[152, 1] - inner[10, 1]) - 2 / AROUND) < 0.03
    seen = cut(face.levels, square, 64)
    mouth = ((inner[13, :2] + 1) * 32).long()
    assert seen[0, mouth[1], mouth[0]] > 2 * seen[1, mouth[1], mouth[0]]  # red
    for part in (1, 2):
        square = part_square(face.points, part)
        assert cut(face.levels, square, 33)[:, 16, 16].mean() < 0.35  # an eye is dark


def test_in_a_mirror_left_is_right() -> None:
    assert MIRROR[33] == 263
    assert MIRROR[61] == 291
    assert torch.equal(MIRROR[MIRROR][:468], torch.arange(468))
    face = known(0.2)
    other = mirrored(face)
    assert abs(square_of(other.points).tilt + 0.2) < 0.02
    torch.testing.assert_close(mirrored(other).points[:468], face.points[:468], atol=1e-3, rtol=0)


def test_views_mark_where_faces_are() -> None:
    """What the finder is asked for is what `found_faces` reads: middle, height and tilt."""
    faces = [known(lean) for lean in (-0.2, 0.0, 0.2)] * 4
    generator = torch.Generator().manual_seed(3)
    seen = views(faces, generator)
    many = (seen.heat.flatten(1).amax(1) > 0.5).float().mean()
    assert 0.6 < many < 1
    for row in range(len(faces)):
        answer = torch.cat([torch.logit(seen.heat[row].clamp(1e-4, 1 - 1e-4))[None], seen.geometry[row]])
        for _, square in found_faces(answer, Square(64, 64, 128)):
            at = cut([seen.pictures[row]], square, 64)
            assert 8 < square.side / AROUND < 128
            assert at[:, 26:40, 28:36].mean() > 0  # lies in the picture
    again = views(faces, torch.Generator().manual_seed(3))
    assert torch.equal(seen.pictures, again.pictures)


def test_a_framed_face_is_as_large_as_it_says() -> None:
    face = known()
    generator = torch.Generator().manual_seed(0)
    shares = []
    for _ in range(60):
        view = framed(face, generator)
        inner = view.inwards(face.points)
        shares.append(float((inner[152, :2] - inner[10, :2]).norm()) / 2)
        assert inner[[10, 152], :2].abs().max() < 1.1
    assert min(shares) < 0.2
    assert max(shares) > 0.7


def test_crops_and_parts_know_their_points() -> None:
    faces = [known(0.1)] * 24
    generator = torch.Generator().manual_seed(1)
    near = crops(faces, generator)
    assert 0 < near.face.mean() < 1
    assert (near.known[near.face == 0] == 0).all()
    assert near.points[near.face == 1][:, :468, :2].abs().amax() < 1.4
    for mouth in (True, False):
        part = parts(faces, generator, mouth)
        off = (part.guess - part.points).norm(dim=-1)
        assert 0.01 < off.mean() < 0.3
        assert part.points.abs().mean() < 1


def test_children_and_other_generators_are_left_out(faces: Path) -> None:
    assert len(read_portraits(faces)) == 8
    names = [one.name for split in ("train", "validation", "test") for one in portraits_of(faces, split)]  # type: ignore[arg-type]
    assert len(names) == 7
    assert set(read_left_out(LEFT_OUT).values()) >= {"child", "sunglasses", "beard"}
    with pytest.raises(FileNotFoundError, match=r"holds no index\.json"):
        read_portraits(faces / "nothing")


def test_the_stage_learns(faces: Path, tmp_path: Path) -> None:
    options = {"faces": str(faces), "kept": str(tmp_path), "puppets": 1, "drawn": 8}
    torch.manual_seed(0)
    stage = TrainingStage(Settings("landmarks", str(tmp_path), 30, 4, options=options), torch.device("cpu"))
    assert [len(kind) for kind in stage.kinds] == [3, 3, 8]
    optimiser = torch.optim.AdamW(stage.network.parameters(), lr=2e-3)
    losses = []
    for step in range(30):
        batch = stage.batch(step, torch.Generator().manual_seed(noise_key(0, "batch", step)))
        loss, _ = stage.loss(batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss))
    assert sum(losses[-8:]) < 0.8 * sum(losses[:8])
    score = stage.score(stage.network)
    assert {"found", "error_lips"} <= set(score)
    (file,) = stage.weights(stage.network).values()
    assert sum(value.numel() * 2 for value in file.values()) < 2_000_000
    with pytest.raises(BadSettings, match="expected a folder of portraits"):
        TrainingStage(Settings("landmarks", "", 1, 1, options={"faces": str(tmp_path)}), torch.device("cpu"))


def test_a_picture_is_read_whatever_its_shape() -> None:
    """An untrained network finds what it may; nothing breaks at odd sizes, and points lie where its answer says."""
    network = FacePoints().eval()
    for shape in ((3, 97, 301), (3, 400, 130)):
        for reading in read_faces(network, torch.rand(shape)):
            assert reading.points.shape == (POINTS, 3)
            assert 0 <= reading.certain <= 1
    answer = torch.full((6, CELLS, CELLS), -9.0)
    answer[0, 4, 10] = 5
    answer[1:, 4, 10] = torch.tensor([0.25, -0.5, 0.0, 0.0, 1.0])
    ((sure, square),) = found_faces(answer, Square(160, 160, 320))
    assert sure > 0.9
    assert (square.x, square.y, square.tilt) == pytest.approx((10.75 * 20, 4.0 * 20, 0))
    assert square.side == pytest.approx(AROUND * 0.4 * 320)
    assert measured(network, [known()], seed=0)["found"] in (0.0, 1.0)
