"""A render of a family that moves the portrait's own pixels: its shape, its records, the same bits in any order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from pipeline.media.inspect_media import count_frames
from tests.conftest import render_inline
from tests.models.puppet.test_puppet import picture
from tests.support.damage import only

SOUND = Path(__file__).parents[1] / "other_versions/inputs/part-2.wav"


def rendered(folder: Path, **options: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Report and stream records of a title of a tall portrait."""
    folder.mkdir()
    drawn = Image.fromarray(picture()).resize((200, 200), Image.Resampling.LANCZOS)
    tall = Image.new("RGB", (200, 300), drawn.getpixel((0, 0)))  # type: ignore[arg-type]
    tall.paste(drawn, (0, 60))
    tall.save(folder / "portrait.png")
    title = {"id": "one", "portrait": "portrait.png", "audio": [str(SOUND)] * 5, "face_box": [30, 80, 140, 160]}
    usual = {"resolution": 512, "marks": "off"}
    manifest = folder / "manifest.yaml"
    catalog = {"version": 1, "output": "out", "family": "photo", "defaults": usual | options, "titles": [title]}
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
    assert report["options"]["film"] == [512, 768]
    assert found > 48
