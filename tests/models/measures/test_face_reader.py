"""The network that reads faces: its outputs' meaning, and that a tiny run learns."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from models.measures.face_reader import EXPRESSIONS, FACE, REGIONS, FaceReader, FaceReading, _centres, load_face_reader
from models.training.face import TrainingStage, expressive
from models.training.run import begin, take_step
from models.training.settings import BadSettings, Settings

pytestmark = pytest.mark.usefixtures("one_thread")


def tiny(out: Path, batch: int = 4) -> Settings:
    return Settings(
        stage="face", out=str(out), steps=30, batch=batch, warmup=2, learning_rate=3e-3, ema=0.8,
        options={"identities": 4, "network": {"side": 32, "widths": [8, 8, 16, 16], "embedding": 8}},
    )  # fmt: skip


def test_a_landmark_is_the_middle_of_its_map() -> None:
    heat = torch.full((1, 2, 8, 8), -50.0)
    heat[0, 0, 2, 6] = heat[0, 1, 7, 0] = 50
    assert torch.allclose(_centres(heat), torch.tensor([[[0.625, -0.375], [-0.875, 0.875]]]), atol=1e-4)


def test_a_reading_names_expressions_and_shows_the_face() -> None:
    regions = torch.full((2, len(REGIONS), 4, 4), -20.0)
    regions[0, REGIONS.index("lips")] = 20
    regions[1, REGIONS.index("hair")] = 20
    scores = torch.zeros(2, len(EXPRESSIONS))
    scores[0, 3] = scores[1, 7] = 1
    read = FaceReading(torch.zeros(2, 18, 2), regions, torch.zeros(2, 11), scores, torch.zeros(2, 8))
    assert read.expression() == ["surprise", "doubt"]
    mask = read.face_mask((16, 16))
    assert mask.shape == (2, 1, 16, 16)
    assert mask[0].min() > 0.99
    assert mask[1].max() < 0.01


def test_any_size_is_read_and_a_file_is_read_as_it_was_trained(tmp_path: Path) -> None:
    net = FaceReader().eval()
    save_file({name: value.half() for name, value in net.state_dict().items()}, tmp_path / "face.safetensors")
    loaded = load_face_reader(tmp_path / "face.safetensors")
    pictures = torch.rand(2, 3, 200, 200, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        one, other = net(pictures), loaded(pictures)
    assert one.landmarks.shape == (2, 18, 2)
    assert torch.allclose(one.embedding.norm(dim=1), torch.ones(2), atol=1e-5)
    assert torch.allclose(one.numbers, other.numbers, atol=1e-2)


def test_what_is_asked_for_is_in_the_pose() -> None:
    held, asked = expressive(400, torch.Generator().manual_seed(0))
    smiling = asked == EXPRESSIONS.index("smile")
    assert held.smile[smiling].mean() > held.smile[~smiling].mean() + 0.6
    assert held.brow[asked == EXPRESSIONS.index("surprise")].min() > 0.4
    assert (held.lids[asked == EXPRESSIONS.index("sleepy")] < 0.85).all()
    assert len(asked.unique()) == len(EXPRESSIONS)


def test_regions_lie_where_the_picture_shows_them_and_two_pictures_show_each_person(tmp_path: Path) -> None:
    stage = begin(tiny(tmp_path)).stage
    assert isinstance(stage, TrainingStage)
    batch = stage.batch(0, torch.Generator().manual_seed(0))
    assert batch["regions"].shape == (4, 8, 8)
    assert torch.equal(batch["who"][::2], batch["who"][1::2])
    faces = torch.isin(batch["regions"], torch.tensor([REGIONS.index(name) for name in FACE]))
    cells = ((batch["landmarks"][:, 2] + 1) * 4).long().clamp(0, 7)  # the tip of the nose
    assert all(bool(faces[row, y, x]) for row, (x, y) in enumerate(cells.tolist()))


def test_people_are_told_apart_from_two_on(tmp_path: Path) -> None:
    for batch in (2, 5):
        with pytest.raises(BadSettings, match=f"batch is {batch}"):
            begin(tiny(tmp_path, batch))


def test_a_tiny_run_learns(tmp_path: Path) -> None:
    run = begin(tiny(tmp_path))
    parts = [take_step(run) for _ in range(30)]
    for name in ("landmarks", "regions"):
        first, last = (sum(float(part[name]) for part in some) for some in (parts[:5], parts[-5:]))
        assert last < 0.75 * first, name
