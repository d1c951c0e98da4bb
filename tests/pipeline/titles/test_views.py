"""Views follow the plan: what people open is of the run that was asked for last."""

from __future__ import annotations

import json
from pathlib import Path

from tests.conftest import render_inline, write_manifest


def final_of(folder: Path, crf: int) -> bytes:
    manifest = write_manifest(folder, [{"id": "one", "frames": 50}], crf=crf)
    assert render_inline(manifest) == 0
    return (folder / "out" / "one" / "final.mp4").read_bytes()


def test_going_back_to_former_options_brings_back_their_file(tmp_path: Path) -> None:
    first, other = final_of(tmp_path, 20), final_of(tmp_path, 40)
    assert first != other
    records = sorted((tmp_path / "out").glob("one/*/*/*/*.json"))
    assert final_of(tmp_path, 20) == first
    assert sorted((tmp_path / "out").glob("one/*/*/*/*.json")) == records, "nothing was rendered again"
    report = json.loads((tmp_path / "out" / "one" / "report.json").read_text())
    assert report["options"]["crf"] == 20
    assert report["hashes"]["stream"][:16] in (tmp_path / "out" / "one" / "hls" / "index.m3u8").read_text()
