"""Figures of photographs come out of folders of portraits, weights and a recording."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

from benchmarks.photographs.__main__ import main
from models.diffusion.movement import MovementNet
from models.faces.face_points import FacePoints
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
