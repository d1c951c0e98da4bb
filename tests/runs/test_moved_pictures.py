"""A render of a family that moves the portrait's own pixels: its shape, its records, the same bits in any order."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from models.families.mini import MINI
from models.families.registry import FAMILIES, MINI_FAMILY
from pipeline.media.inspect_media import count_frames
from tests.conftest import render_inline
from tests.support.damage import only

SOUND = Path(__file__).parents[1] / "other_versions/inputs/part-2.wav"


@pytest.fixture(autouse=True)
def moving(monkeypatch: pytest.MonkeyPatch) -> None:
    family = replace(
        MINI_FAMILY, networks=replace(MINI, picture="moved"), chain_revision=MINI_FAMILY.chain_revision + 1
    )
    monkeypatch.setitem(FAMILIES, "mini", family)


def rendered(folder: Path, **options: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Report and stream records of a title of a tall portrait."""
    folder.mkdir()
    noise = np.random.default_rng(4).integers(0, 256, (30, 20, 3), np.uint8)
    Image.fromarray(noise).resize((200, 300), Image.Resampling.BICUBIC).save(folder / "portrait.png")
    title = {"id": "one", "portrait": "portrait.png", "audio": [str(SOUND)] * 12, "face_box": [70, 60, 60, 80]}
    usual = {"base_size": 128, "resolution": 128, "marks": "off"}
    manifest = folder / "manifest.yaml"
    catalog = {"version": 1, "output": "out", "family": "mini", "defaults": usual | options, "titles": [title]}
    manifest.write_text(yaml.safe_dump(catalog))
    assert render_inline(manifest) == 0
    records = [json.loads(path.read_text()) for path in sorted(folder.glob("out/one/stream/*/stream/*.json"))]
    return json.loads((folder / "out/one/report.json").read_text()), records


def test_the_film_has_the_portrait_s_shape_and_the_same_bits_in_any_segments(tmp_path: Path) -> None:
    report, whole = rendered(tmp_path / "whole")
    _, parts = rendered(tmp_path / "parts", segment_frames=48)
    assert len(whole) > 1, "more than one GOP"
    assert [one["facts"]["planes"] for one in whole] == [one["facts"]["planes"] for one in parts]
    assert all({"conditioning", "portrait"} <= one["uses"].keys() for one in whole)
    found = count_frames(only(tmp_path / "whole", "out/one/final.mp4"))
    assert report["options"]["film"] == [128, 192]
    assert found > 48
