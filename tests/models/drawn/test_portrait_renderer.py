"""Procedural portraits: the ground truth is where the picture shows it, and a picture follows from its seed alone."""

from __future__ import annotations

import ast
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from models.data.drawn_portrait import draw_portrait
from models.drawn.hair_styles import HAIR_STYLES
from models.drawn.identity import Identity, identities
from models.drawn.motion import stills
from models.drawn.portrait_renderer import LABELS, Drawing, draw
from models.drawn.pose import pose
from models.drawn.splits import first_seeds, split_of
from models.drawn.truth import LANDMARKS, face_box, landmarks, lip_box, lower_face_box, to_pixels

pytestmark = pytest.mark.usefixtures("one_thread")

SIZE = 96
EXAMPLES = Path(__file__).parents[3] / "examples"


def plain(number: int = 3) -> Identity:
    """People without what may hide a landmark, in a style whose edges are exact."""
    people = identities(first_seeds("train", number), style="shaded")
    bare = torch.zeros(number)
    return replace(people, glasses=bare, hat=bare, beard=bare, moustache=bare, sweep=bare)


def label_at(drawing: Drawing, points: torch.Tensor, name: str) -> list[str]:
    """Names of the labels under one landmark of every picture."""
    x, y = to_pixels(points[:, LANDMARKS.index(name)], SIZE).floor().long().unbind(1)
    numbers = drawing.labels[torch.arange(len(points)), y, x].tolist()
    return [LABELS[number] for number in numbers]


@pytest.mark.parametrize(("yaw", "pitch", "roll"), [(0.0, 0.0, 0.0), (0.3, 0.1, -0.1), (-0.3, -0.15, 0.1)])
def test_landmarks_lie_in_what_they_name(yaw: float, pitch: float, roll: float) -> None:
    people = plain()
    held = pose(3, yaw=yaw, pitch=pitch, roll=roll, opening=0.8, lids=1.1)
    drawing, points = draw(people, held, SIZE), landmarks(people, held)
    assert set(label_at(drawing, points, "eye_left")) == {"eyes"}
    assert set(label_at(drawing, points, "eye_right")) == {"eyes"}
    assert set(label_at(drawing, points, "nose_tip")) == {"skin"}
    middle = points.clone()
    upper, lower = LANDMARKS.index("upper_lip_inner"), LANDMARKS.index("lower_lip_inner")
    middle[:, upper] = (points[:, upper] + points[:, lower]) / 2
    assert set(label_at(drawing, middle, "upper_lip_inner")) == {"inner_mouth"}


def test_boxes_hold_what_they_name() -> None:
    people, held = plain(), pose(3, yaw=0.2, opening=0.5)
    drawing = draw(people, held, SIZE)
    for boxes, name in ((lip_box(people, held), "lips"), (face_box(people, held), "eyes")):
        inside = to_pixels(boxes, SIZE)
        for box, labels in zip(inside, drawing.labels, strict=True):
            rows, columns = (labels == LABELS.index(name)).nonzero().unbind(1)
            assert len(rows) > 5
            assert rows.min() >= box[1] - 1.5
            assert rows.max() <= box[3] + 1.5
            assert columns.min() >= box[0] - 1.5
            assert columns.max() <= box[2] + 1.5


def test_the_mouth_moves_the_lower_face_only() -> None:
    people = identities(first_seeds("train", 3))
    shut, held = pose(3, yaw=0.2), pose(3, yaw=0.2, opening=0.9, teeth=0.8)
    change = (draw(people, held, SIZE).picture - draw(people, shut, SIZE).picture).abs().amax(1)
    boxes = to_pixels(lower_face_box(people, held), SIZE)
    for box, changed in zip(boxes, change, strict=True):
        x0, y0, x1, y1 = box.round().int().tolist()
        assert changed[y0:y1, x0:x1].amax() > 0.2
        outside = changed.clone()
        outside[max(y0, 0) : y1, max(x0, 0) : x1] = 0
        assert outside.amax() < 1e-5


def test_the_same_seed_gives_the_same_picture_and_another_does_not() -> None:
    held = stills(2, torch.Generator().manual_seed(1))
    first, again = (draw(identities([5, 6]), held, 64).picture for _ in range(2))
    assert torch.equal(first, again)
    assert (draw(identities([7, 8]), held, 64).picture - first).abs().mean() > 0.02


def test_a_batch_is_what_its_pictures_are_alone() -> None:
    people, held = identities([11, 12, 13]), stills(3, torch.Generator().manual_seed(2))
    together = draw(people, held, 64)
    for number in range(3):
        row = torch.tensor([number])
        alone = draw(people.rows(row), held.rows(row), 64)
        assert torch.allclose(alone.picture[0], together.picture[number], atol=1e-5)
        assert (alone.labels[0] != together.labels[number]).float().mean() < 1e-3


def test_a_crop_is_that_part_of_the_whole() -> None:
    people, held = identities([21]), pose(1, yaw=0.1)
    whole = draw(people, held, 128).picture
    crop = draw(people, held, 64, torch.tensor([[-0.5, -0.25, 0.5, 0.75]])).picture
    assert torch.allclose(crop, whole[:, :, 48:112, 32:96], atol=1e-3)


def test_splits_do_not_meet_and_all_have_their_share() -> None:
    names = [split_of(seed) for seed in range(5000)]
    for name, share in (("train", 0.8), ("validation", 0.1), ("test", 0.1)):
        assert abs(names.count(name) / 5000 - share) < 0.02
        assert all(split_of(seed) == name for seed in first_seeds(name, 50))  # type: ignore[arg-type]


def test_a_turned_head_shows_its_face_further_to_that_side() -> None:
    people = plain()
    left, right = (landmarks(people, pose(3, yaw=yaw)) for yaw in (-0.3, 0.3))
    assert (left[:, 2, 0] < right[:, 2, 0] - 0.2).all()
    down, up = (landmarks(people, pose(3, pitch=pitch)) for pitch in (-0.15, 0.15))
    assert (up[:, 2, 1] < down[:, 2, 1]).all()


def test_every_identity_is_whole() -> None:
    assert len(HAIR_STYLES) >= 8
    people = identities(first_seeds("train", 200))
    for field in fields(Identity):
        values = getattr(people, field.name)
        assert len(values) == 200
        assert values.isfinite().all()
        assert field.name == "fade" or values.float().std() > 0
    picture = draw(people.rows(torch.arange(13)), stills(13, torch.Generator().manual_seed(3)), 32).picture
    assert picture.isfinite().all()
    assert picture.amin() >= 0
    assert picture.amax() <= 1


def test_nothing_that_renders_titles_imports_the_training() -> None:
    root = Path(__file__).parents[3]
    # These train, or measure what is finished: none is imported by what renders.
    aside = ("models.training", "models.data", "models.drawn", "models.measures", "actors.train")
    files = [path for part in ("pipeline", "actors", "models") for path in (root / part).rglob("*.py")]
    measures = (*aside, "pipeline.checks.sensors")
    outside = [path for path in files if not ".".join(path.relative_to(root).parts).startswith(measures)]
    assert len(outside) > 40
    for path in outside:
        for node in ast.walk(ast.parse(path.read_text())):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            assert not [name for name in names if name.startswith(aside)], path


def test_the_drawn_portrait_is_made_by_its_command() -> None:
    """An identity of the test split; boxes as the lecture's manifest has them."""
    drawn = draw_portrait("test", 29, 512)
    kept = np.asarray(Image.open(EXAMPLES / "portrait.png"), np.int16)
    assert split_of(drawn.seed) == "test"
    assert np.abs(kept - drawn.picture).mean() < 0.5  # kernels of other machines round otherwise
    title = yaml.safe_load((EXAMPLES / "lecture.yaml").read_text())["defaults"]
    assert (title["face_box"], title["lip_box"]) == (list(drawn.face_box), list(drawn.lip_box))
    x, y, width, height = drawn.lip_box
    lips = drawn.picture[y : y + height, x + width // 4 : x + 3 * width // 4].astype(np.int16)
    chin = drawn.picture[y + 2 * height : y + 3 * height, x + width // 4 : x + 3 * width // 4].astype(np.int16)
    assert (lips[..., 0] - lips[..., 1]).mean() > (chin[..., 0] - chin[..., 1]).mean() + 10  # redder
