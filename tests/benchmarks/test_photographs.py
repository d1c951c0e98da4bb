"""Figures of photographs come out of folders of portraits, weights and a recording."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

from benchmarks.photographs.__main__ import main
from benchmarks.photographs.cost import STAGES
from benchmarks.photographs.mouths import rectified
from benchmarks.photographs.prompts import WISHES, Reading, features_of, figures
from models.diffusion.movement import MovementNet
from models.faces.face_points import FacePoints
from tests.support.mesh_points import mesh_points
from tests.support.portrait_folder import portrait_folder

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return portrait_folder(tmp_path_factory.mktemp("faces"))


def test_landmarks_of_a_network_that_knows_nothing(faces: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_file(FacePoints().state_dict(), tmp_path / "points.safetensors")
    arguments = [
        "landmarks",
        "--faces",
        str(faces),
        "--weights",
        str(tmp_path / "points.safetensors"),
        "--framings",
        "1",
    ]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    figures = json.loads(result.output)
    assert figures["people"] == 2
    assert 0 <= figures["found"] <= 1
    assert 0 <= figures["two_found"] <= 1


def test_movement_beside_the_puppet(faces: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_file(MovementNet().state_dict(), tmp_path / "movement.safetensors")
    given = {
        "faces": faces, "weights": tmp_path / "movement.safetensors", "people": 1,
        "frames": 8, "keep": tmp_path / "films",
        "vae": ROOT / "models/shipped/mini/vae.safetensors", "speech": ROOT / "examples/speech.flac",
    }  # fmt: skip
    arguments = ["movement", *(word for name, value in given.items() for word in (f"--{name}", str(value)))]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    figures = json.loads(result.output)
    assert len(figures["people"]) == 1
    assert figures["mean"]["first_db"] > 15
    assert list((tmp_path / "films").glob("*/film.mp4"))


def test_a_classifier_names_what_it_was_fitted_on_in_others_faces() -> None:
    """Made-up faces whose mouths and lids tell; turned, moved and larger ones are told as well."""
    dice = np.random.default_rng(4)
    kinds = {name: (0.02 * place, 0.1 + 0.04 * (place % 4)) for place, name in enumerate(WISHES)}

    def reading(who: int, wish: str) -> Reading:
        opening, lids = kinds[wish]
        own = mesh_points(height=240 + who)
        face = mesh_points(opening=opening, lids=lids, height=300 - who, roll=0.02 * who, middle=(200.0 + who, 260.0))
        return Reading(str(who), wish, features_of(face + dice.normal(0, 0.2, face.shape), own), 0.1)

    known = [reading(who, wish) for who in range(8) for wish in WISHES]
    unseen = [reading(who, wish) for who in range(8, 11) for wish in WISHES]
    found = figures(known, unseen, [replace(one, wish=WISHES[0]) for one in unseen])
    assert found["puppets"]["named"] > 0.9
    assert found["films"]["named"] < 0.3
    with pytest.raises(ValueError, match="expected all of"):
        figures(known[:3], unseen, unseen)


def test_what_lies_between_the_lips_is_rectified() -> None:
    across = np.linspace(10, 90, 11)
    bend = 10 * np.sin(np.pi * np.arange(11) / 10)
    lips = np.stack([np.stack([across, 50 - bend], 1), np.stack([across, 50 + bend], 1)])
    y, _ = np.mgrid[:100, :100]
    picture = np.repeat(np.clip(y * 2, 0, 255).astype(np.uint8)[..., None], 3, 2)
    inside = rectified(picture, lips)
    assert inside.shape == (24, 64, 3)
    middle = inside[:, 32, 0].astype(int)
    assert (np.diff(middle) >= 0).all()
    assert middle[0] == pytest.approx(81, abs=2)
    assert middle[-1] == pytest.approx(119, abs=2)
    assert np.ptp(inside[:, 0, 0]) <= 1, "in a corner there is nothing between"


def test_a_frame_costs_what_its_stages_do() -> None:
    result = CliRunner().invoke(main, ["cost", "--size", "256", "--family", "photo"], catch_exceptions=False)
    found = json.loads(result.output)
    assert found["film"] == [256, 320]
    assert set(found["milliseconds"]) == set(STAGES)
    assert found["sum_milliseconds"] == pytest.approx(sum(found["milliseconds"].values()))
