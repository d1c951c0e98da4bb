"""Published scores with networks that users bring: what is computed, and what is refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor, nn

from models.measures.backbone import Backbone, BackboneProblem, open_backbone
from models.measures.cepstra import cepstra
from models.measures.frechet import frechet
from models.measures.published import sync_scores
from pipeline import evaluate
from pipeline.core.command import run_command
from tests.conftest import render_inline, write_manifest
from tests.support.tiny_onnx import one_operator


class Means(nn.Module):
    """Features of pictures or clips: the mean of every colour in both halves."""

    def forward(self, x: Tensor) -> Tensor:
        rows = x.flatten(2)
        half = rows.shape[2] // 2
        return torch.cat([rows[:, :, :half].mean(2), rows[:, :, half:].mean(2)], dim=1)


class Sync(nn.Module):
    def forward(self, frames: Tensor, sound: Tensor) -> tuple[Tensor, Tensor]:
        return frames.flatten(1)[:, :4] / 255, sound.flatten(1)[:, :4]


def saved(module: nn.Module, path: Path) -> dict[str, object]:
    torch.jit.script(module).save(str(path))
    return {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "side": 16}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished title `out/one/final.mp4`, and `backbones.yaml`."""
    folder = tmp_path_factory.mktemp("backbones")
    assert render_inline(write_manifest(folder, [{"id": "one", "frames": 100}, {"id": "two", "frames": 60}])) == 0
    means = saved(Means(), folder / "means.pt")
    sync = saved(Sync(), folder / "sync.pt") | {"low": 0, "high": 255}
    given = {"fid": means, "fvd": means, "efid": means, "identity": means, "sync": sync}
    (folder / "backbones.yaml").write_text(yaml.safe_dump(given))
    return folder


def run(*arguments: object) -> int:
    return run_command(evaluate.command, [str(argument) for argument in arguments])


def test_all_scores(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video, other = folder / "out/one/final.mp4", folder / "out/two/final.mp4"
    asked = [video, "--backbones", folder / "backbones.yaml", "--json"]
    assert run(*asked, "--reference", video) == 0
    (itself,) = json.loads(capsys.readouterr().out)["titles"]
    assert run(*asked, "--reference", other) == 0
    (apart,) = json.loads(capsys.readouterr().out)["titles"]
    for name in ("fid", "fvd", "efid"):
        assert itself[name] == pytest.approx(0, abs=2e-3)
        assert apart[name] > itself[name]
    assert -1 <= itself["identity_similarity"] <= 1
    assert itself["sync_d"] > 0
    assert itself["sync_c"] >= 0
    assert "mouth_r" in itself


def test_a_title_and_one_score(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--backbones", folder / "backbones.yaml", "--score", "identity", "--only", "one"]
    assert run(folder / "manifest.yaml", *asked) == 0
    printed = capsys.readouterr().out
    assert "likeness to the first frame" in printed
    assert "FID" not in printed
    assert "identity_similarity" in json.loads((folder / "out/one/evaluation.json").read_text())


def test_what_is_missing_is_said(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = folder / "out/one/final.mp4"

    def refused(given: object, *more: object) -> str:
        path = tmp_path / "b.yaml"
        path.write_text(given if isinstance(given, str) else yaml.safe_dump(given))
        assert run(video, "--backbones", path, *more) == 2
        return capsys.readouterr().err

    assert run(video, "--score", "fid") == 2
    assert "--score fid needs a network that cannot be shipped" in capsys.readouterr().err
    assert run(video, "--reference", video) == 2
    assert "goes with --backbones" in capsys.readouterr().err
    good = folder / "means.pt"
    right = hashlib.sha256(good.read_bytes()).hexdigest()
    assert "unknown scores fad" in refused({"fad": {}})
    assert "expected a mapping" in refused("- 1")
    assert "expected a mapping with file, sha256 and side" in refused({"fid": {"file": "x.pt"}})
    assert "unknown keys sha" in refused({"fid": {"file": "x.pt", "side": 16, "sha": 1}})
    assert "side is 'wide': expected a number" in refused({"fid": {"file": "x.pt", "side": "wide"}})
    assert "x.pt does not exist" in refused({"identity": {"file": "x.pt", "side": 16}})
    one = {"file": str(good), "side": 16}
    assert f"write sha256: {right}" in refused({"identity": one})
    assert f"has sha256 {right}, expected 00" in refused({"identity": one | {"sha256": "00"}})
    assert "fid compares with real videos" in refused({"fid": one | {"sha256": right}})
    assert "--score sync is asked for" in refused({"fid": one | {"sha256": right}}, "--score", "sync")
    assert "has 1 outputs: output is 3" in refused({"identity": one | {"sha256": right, "output": 3}})
    assert "cannot take what this score gives it" in refused(
        {"sync": one | {"sha256": right}}
    )  # it takes one input, not two


def test_onnx(tmp_path: Path) -> None:
    path = tmp_path / "relu.onnx"
    path.write_bytes(one_operator("Relu", (2, 3)))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    network = open_backbone(Backbone(path, digest, 16))
    (found,) = network(np.array([[-1, 2, -3], [4, -5, 6]], np.float32))
    assert found.tolist() == [[0, 2, 0], [4, 0, 6]]
    with pytest.raises(BackboneProblem, match="takes 1 inputs, this score gives it 2"):
        network(found, found)
    with pytest.raises(BackboneProblem, match="cannot take what this score gives it"):
        network(np.zeros((2, 4), np.float32))
    path.write_bytes(b"no network")
    with pytest.raises(BackboneProblem, match="is no ONNX file"):
        open_backbone(Backbone(path, hashlib.sha256(b"no network").hexdigest(), 16))
    script = tmp_path / "no.pt"
    script.write_bytes(b"no network")
    with pytest.raises(BackboneProblem, match="is no TorchScript file"):
        open_backbone(Backbone(script, hashlib.sha256(b"no network").hexdigest(), 16))


def test_frechet_of_normal_clouds() -> None:
    """Independent axes: squares of the differences of means and of deviations add up."""
    rng = np.random.default_rng(0)
    cloud = rng.standard_normal((200_00, 3)).astype(np.float32)
    moved = cloud * np.array([2, 1, 1], np.float32) + np.array([0, 3, 0], np.float32)
    assert frechet(cloud, cloud) == pytest.approx(0, abs=1e-3)
    assert frechet(cloud, moved) == pytest.approx(1 + 9, rel=0.03)
    with pytest.raises(ValueError, match="at least two"):
        frechet(cloud[:1], cloud)


def test_sync_finds_the_shift() -> None:
    said = np.random.default_rng(0).standard_normal((120, 8)).astype(np.float32)
    confidence, distance = sync_scores(np.roll(said, 3, axis=0), said)
    assert distance < 0.2
    assert confidence > 2
    assert sync_scores(np.random.default_rng(1).standard_normal((120, 8)).astype(np.float32), said)[0] < 0.5


def test_cepstra_of_a_tone_and_of_silence() -> None:
    time = np.arange(16_000) / 16_000
    tone = cepstra((0.5 * np.sin(2 * np.pi * 500 * time)).astype(np.float32))
    assert tone.shape == (99, 13)
    assert np.abs(tone[10:90] - tone[10]).max() < 2  # it does not change
    assert tone[50, 0] > cepstra(np.zeros(16_000, np.float32))[50, 0] + 20  # the first is the log energy
