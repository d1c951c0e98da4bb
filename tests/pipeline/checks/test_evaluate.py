"""The command `evaluate`: of titles, of outputs, of any video."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from models.faces.portrait import PortraitHints, PortraitSizes, prepare_portrait
from models.image.masks import Box
from pipeline import evaluate
from pipeline.core.command import run_command
from tests.conftest import render_inline, write_manifest

KEYS = {"mouth_r", "mouth_lag_frames", "identity_drift", "sharpness_ratio", "border_ratio"}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two finished titles, one on a canvas. Tests must not write to them."""
    folder = tmp_path_factory.mktemp("evaluate")
    titles = [{"id": "one", "frames": 100}, {"id": "two", "frames": 40, "resolution": 1080, "canvas": "1920x1080"}]
    written = write_manifest(folder, titles)
    assert render_inline(written) == 0
    return written


def run(*arguments: str) -> int:
    return run_command(evaluate.command, list(arguments))


def test_every_finished_title_is_measured(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(str(manifest), "--json") == 0
    titles = json.loads(capsys.readouterr().out)["titles"]
    assert [(one["title"], one["frames"]) for one in titles] == [("one", 100), ("two", 40)]
    assert all(one.keys() >= KEYS for one in titles)
    kept = json.loads((manifest.parent / "out/one/evaluation.json").read_text())
    assert len(kept["per_second"]["identity"]) == 4
    assert kept["sharpness_ratio"] == titles[0]["sharpness_ratio"]


def test_an_output_without_a_manifest(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(str(manifest.parent / "out"), "--only", "one") == 0
    printed = capsys.readouterr().out
    assert printed.startswith("one: 100 frames")
    assert "mouth follows the sound (r)" in printed


def test_the_page_that_shows_the_curves_is_whole(manifest: Path, tmp_path: Path) -> None:
    """Also where the title was rendered by another version, whose pages' assets are others."""
    out = shutil.copytree(manifest.parent / "out", tmp_path / "out")
    shutil.rmtree(out / "_pages")
    assert run(str(out), "--only", "one") == 0
    page = (out / "one/report.html").read_text()
    named = re.findall(r'(?:src|href)="(\.\./_pages/[^"]+\.(?:js|css))"', page)
    assert named
    assert all((out / "one" / name).exists() for name in named)


def test_any_video(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = str(manifest.parent / "out/one/final.mp4")
    assert run(video, "--face-box", "10", "10", "40", "40", "--json") == 0
    (found,) = json.loads(capsys.readouterr().out)["titles"]
    assert found["frames"] == 100
    assert "per_second" not in found


def test_titles_and_videos_are_looked_at_in_the_same_boxes() -> None:
    hints = PortraitHints(face_box=Box(280, 140, 730, 630), lip_box=Box(442, 500, 582, 526))
    picture = np.zeros((1000, 1000, 3), np.uint8)
    arrays, _ = prepare_portrait(picture, PortraitSizes(512, 64, 4), hints)
    face, lips = evaluate.boxes_of(arrays, 1000 / 512, 1000)
    assert face == pytest.approx(hints.face_box, abs=2)
    assert lips == pytest.approx(hints.lip_box, abs=2)


def test_without_boxes_the_face_is_assumed() -> None:
    face, lips = evaluate.boxes_of({}, 1.0, 512)
    assert face == (0.2 * 512, 0.15 * 512, 0.8 * 512, 0.85 * 512)
    assert lips[3] == face[3]


def test_mistakes(manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(str(tmp_path / "none.mp4")) == 2
    (tmp_path / "text.mp4").write_text("no video")
    assert run(str(tmp_path / "text.mp4")) == 2
    assert run(str(manifest), "--lip-box", "1", "1", "2", "2") == 2
    told = capsys.readouterr().err
    assert "none.mp4: no such file" in told
    assert "text.mp4: cannot be read as a video" in told
    assert "--lip-box go with a VIDEO" in told


def test_nothing_finished(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = write_manifest(tmp_path, [{"id": "one", "frames": 10}])
    assert run(str(manifest)) == 1
    assert "one: not finished" in capsys.readouterr().err


def test_the_command_alone_brings_no_torch() -> None:
    code = "import sys, pipeline.evaluate; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
