"""Where nothing finds the face, a portrait is not cut blindly: its place is asked for."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from models.families.protocol import Family
from models.families.registry import FAMILIES, HALLO2_FAMILY, MINI_FAMILY
from pipeline import plan
from pipeline.intake.cropping import finds_faces, without_blind_crops
from pipeline.intake.survey import survey
from pipeline.intake.weight_tree import FoundFile, FoundTree
from pipeline.manifest.catalog import load_manifest
from pipeline.store.opening import open_store
from tests.conftest import render_inline, write_manifest, write_portrait
from tests.support.tiny_hallo2 import TINY_FAMILY

LOST = {(200, 120): "80 of 200 columns", (90, 140): "50 of 140 rows", (107, 100): "7 of 107 columns"}
KEPT = [(100, 100), (104, 100), (96, 100)]


def manifest_of(folder: Path, size: tuple[int, int], family: str = "mini", **title: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    portrait = write_portrait(folder / "Aunt Ada.png", size).name
    return write_manifest(
        folder, [{"id": "one", "frames": 4, "portrait": portrait, **title}], family=family, base_size=128,
        resolution=128, background="lanczos",
    )  # fmt: skip


@pytest.mark.parametrize("size", LOST)
def test_a_portrait_that_would_lose_its_face_is_refused(
    tmp_path: Path, size: tuple[int, int], capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = manifest_of(tmp_path, size)
    assert render_inline(manifest) == 2
    said = capsys.readouterr().err
    assert f"titles[0].portrait: Aunt Ada.png has {size[0]}x{size[1]} pixels" in said
    assert LOST[size] in said
    assert "expected face_box: [x, y, width, height] beside it" in said
    assert "--accept-crop" in said
    assert not (tmp_path / "out").exists()
    assert plan.run([str(manifest)]) == 2
    assert LOST[size] in capsys.readouterr().err
    assert plan.run([str(manifest), "--accept-crop"]) == 0
    assert render_inline(manifest, "--accept-crop", "--dry-run") == 0


@pytest.mark.parametrize("size", KEPT)
def test_a_square_and_what_is_nearly_one_need_no_box(tmp_path: Path, size: tuple[int, int]) -> None:
    assert plan.run([str(manifest_of(tmp_path, size))]) == 0
    assert render_inline(manifest_of(tmp_path, size), "--dry-run") == 0


@pytest.mark.parametrize("size", LOST)
def test_where_the_face_is_said_nothing_is_asked(tmp_path: Path, size: tuple[int, int]) -> None:
    assert render_inline(manifest_of(tmp_path, size, face_box=[10, 10, 40, 50]), "--dry-run") == 0


def test_turned_by_its_exif_a_picture_is_as_people_see_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = manifest_of(tmp_path, (100, 100))
    exif = Image.Exif()
    exif[0x0112] = 6  # upright after a quarter of a turn
    Image.new("RGB", (200, 120)).save(tmp_path / "Aunt Ada.png", exif=exif)
    assert render_inline(manifest) == 2
    assert "120x200 pixels" in capsys.readouterr().err


@pytest.mark.parametrize("family", [HALLO2_FAMILY, TINY_FAMILY])
def test_families_that_find_faces_find_them(tmp_path: Path, family: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAMILIES, family.name, family)
    folder = manifest_of(tmp_path, (200, 120), family="fake")
    catalog = load_manifest(str(folder), families=FAMILIES)
    seen, _ = survey(catalog, open_store(catalog.output))
    assert without_blind_crops(catalog, open_store(catalog.output), family, seen, None) == (seen, [])


def test_what_finds_faces_is_a_network_that_is_there() -> None:
    def tree(*networks: str) -> FoundTree:
        files = [file for file in HALLO2_FAMILY.tree if file.network in networks]
        return FoundTree("w", tuple(FoundFile(file, file.path, file.path, 1, "s") for file in files), ())

    assert finds_faces(HALLO2_FAMILY, tree("chain", "detector"))
    assert finds_faces(HALLO2_FAMILY, tree("face_finder"))
    assert not finds_faces(HALLO2_FAMILY, tree("chain", "vae"))
    assert finds_faces(HALLO2_FAMILY, None)
    assert not finds_faces(MINI_FAMILY, None)
    assert not finds_faces(FAMILIES["fake"], None)


def test_one_of_several_titles_is_named_and_the_others_are_rendered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = manifest_of(tmp_path, (100, 100))
    catalog = manifest.read_text()
    write_portrait(tmp_path / "wide.png", (300, 100))
    manifest.write_text(catalog + "- {id: two, portrait: wide.png, audio: audio-0.wav}\n")
    assert render_inline(manifest, "--dry-run", "--skip-invalid") == 1
    assert "skipped:" in (said := capsys.readouterr().err)
    assert "titles[1].portrait: wide.png has 300x100 pixels" in said


def test_a_title_that_has_begun_goes_on_without_being_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also one that was begun before portraits were looked at so. The family is `fake` with a word of networks."""
    monkeypatch.setitem(FAMILIES, "fake", replace(FAMILIES["fake"], networks=MINI_FAMILY.networks))
    manifest = manifest_of(tmp_path, (200, 120), family="fake")
    assert render_inline(manifest) == 2
    assert render_inline(manifest, "--accept-crop") == 0
    assert render_inline(manifest) == 0
    assert "one: done" in capsys.readouterr().err
    report = json.loads((tmp_path / "out/one/report.json").read_text())
    assert any("cropped at its centre" in note for note in report["notes"])
    write_portrait(tmp_path / "Aunt Ada.png", (200, 120), seed=9)  # another picture is another title
    assert render_inline(manifest) == 2


def test_what_shows_no_face_is_not_asked_for_one(tmp_path: Path) -> None:
    assert render_inline(manifest_of(tmp_path, (200, 120), family="fake"), "--dry-run") == 0
