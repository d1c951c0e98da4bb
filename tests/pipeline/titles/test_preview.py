"""Previews are the beginning of the very same plan; and the other ways to render less than a whole catalog."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.media.inspect_media import count_frames
from tests.conftest import render_inline
from tests.runs.test_identity import decoded as decoded_pictures
from tests.support.damage import snapshot
from tests.support.media_sources import decoded, program

Make = Callable[..., Path]
STAGES = ("chain/*/chain", "stream/*/stream", "chain/*/features")


def records(folder: Path) -> dict[str, bytes]:
    """All commit records of a title that take long to make, by path."""
    return {str(path): path.read_bytes() for stage in STAGES for path in folder.glob(f"{stage}/*.json")}


def test_a_preview_is_the_beginning_of_the_very_same_plan(fake_manifest: Make) -> None:
    manifest = fake_manifest([160])
    folder = manifest.parent / "out" / "title-0"
    assert render_inline(manifest, "--preview", "4") == 0  # 100 frames hold two whole GOPs
    assert count_frames(folder / "preview.mp4") == 96
    assert len(decoded(folder / "preview.mp4")) == 96 * 1920
    before = records(folder)
    assert len(before) == 2 + 2 + 1
    assert not (folder / "final.mp4").exists()
    assert not list(folder.glob("stream/*/done/*"))

    assert render_inline(manifest) == 0
    after = records(folder)
    assert len(after) == 4 + 4 + 1
    assert before.items() <= after.items()
    report = json.loads((folder / "report.json").read_text())
    assert report["stages"]["chain"]["reused"] == report["stages"]["upscale"]["reused"] == 2
    assert count_frames(folder / "final.mp4") == 160


def test_a_preview_shows_the_frames_of_the_result(fake_manifest: Make, tmp_path: Path) -> None:
    manifest = fake_manifest([100])
    folder = manifest.parent / "out" / "title-0"
    assert render_inline(manifest, "--preview", "2") == 0
    assert render_inline(manifest) == 0
    program("-i", folder / "final.mp4", "-map", "0:v", "-c", "copy", "-frames:v", 48, tmp_path / "start.mp4")
    assert decoded_pictures(tmp_path / "start.mp4") == decoded_pictures(folder / "preview.mp4")


def test_a_preview_has_at_least_one_gop_and_at_most_all(fake_manifest: Make) -> None:
    manifest = fake_manifest([100])
    folder = manifest.parent / "out" / "title-0"
    assert render_inline(manifest, "--preview", "0.1") == 0
    assert count_frames(folder / "preview.mp4") == 48
    before = snapshot(folder / "stream")
    assert render_inline(manifest, "--preview", "0.1") == 0  # once more: nothing is made again
    assert snapshot(folder / "stream") == before
    assert render_inline(manifest, "--preview", "60") == 0  # all of it is the finished title
    assert count_frames(folder / "final.mp4") == 100


def test_only_the_chosen_titles(fake_manifest: Make) -> None:
    manifest = fake_manifest([10, 20, 30])
    assert render_inline(manifest, "--only", "title-0", "--only", "title-2") == 0
    assert {path.parent.name for path in manifest.parent.glob("out/*/final.mp4")} == {"title-0", "title-2"}
    assert not (manifest.parent / "out" / "title-1").exists()


def test_an_unknown_chosen_title(fake_manifest: Make, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = fake_manifest([10])
    assert render_inline(manifest, "--only", "title-7") == 2
    assert "--only title-7: no such title; it has title-0" in capsys.readouterr().err
    assert not (manifest.parent / "out").exists()


def test_a_dry_run_writes_nothing(fake_manifest: Make, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = fake_manifest([97, 481])
    before = snapshot(manifest.parent)
    assert render_inline(manifest, "--dry-run") == 0
    shown = capsys.readouterr().out
    assert "title-0" in shown
    assert "title-1" in shown
    assert "481" in shown
    assert snapshot(manifest.parent) == before
    assert not (manifest.parent / "out").exists()


def test_valid_titles_are_rendered_where_others_are_not(
    fake_manifest: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = fake_manifest([50, {"id": "silent", "audio": "nowhere.wav"}, {"id": "odd", "frames": 10, "crf": 99}])
    assert render_inline(manifest) == 2
    assert not (manifest.parent / "out").exists()
    capsys.readouterr()
    assert render_inline(manifest, "--skip-invalid") == 1
    said = capsys.readouterr().err
    assert "nowhere.wav" in said
    assert "crf" in said
    assert {path.parent.name for path in manifest.parent.glob("out/*/final.mp4")} == {"title-0"}
    assert render_inline(manifest, "--skip-invalid") == 1  # the others are still to be mended


@pytest.mark.parametrize("option", ["--preview", "--grace"])
@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "-1", "soon"])
def test_a_length_of_time_that_is_none(
    fake_manifest: Make, capsys: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    manifest = fake_manifest([10])
    assert render_inline(manifest, option, value) == 2
    assert f"'{value}': expected a number of at least 0" in capsys.readouterr().err
    assert not (manifest.parent / "out").exists()
