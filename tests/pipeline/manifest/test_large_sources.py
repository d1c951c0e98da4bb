"""`titles_from` at size: long fields, many titles beside it, more files than a catalog may have."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from pipeline.manifest import matching
from pipeline.manifest.title_sources import add_titles
from pipeline.manifest.yaml_text import Parsed, parse_yaml

HEAD = "version: 1\noutput: o\nfamily: fake\ntitles_from:\n  - "


def parsed(folder: Path, source: str, own: str = "") -> Parsed:
    found = parse_yaml((HEAD + source + "\n" + own).encode())
    add_titles(found, str(folder / "manifest.yaml"))
    return found


def test_a_field_of_any_length(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f'id,audio,portrait,title\na,a.wav,p.png,"{"x" * 140_000}"\n')
    found = parsed(tmp_path, "table: t.csv")
    assert not found.faults
    assert len(found.data["titles"][0]["title"]) == 140_000


def test_deep_json_in_a_cell_is_a_mistake_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f'id,audio,portrait,prompts\na,a.wav,p.png,"{"[" * 50_000}"\n')
    (fault,) = parsed(tmp_path, "table: t.csv").faults
    assert "line 2, column prompts" in fault.text
    assert "too deep" in fault.text


def test_own_titles_beside_a_table_cost_in_proportion(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,audio,portrait\nzz,a.wav,p.png\n")

    def seconds(count: int) -> float:
        own = "titles:\n" + "".join(f"  - id: t{i}\n    portrait: p.png\n    audio: a{i}.wav\n" for i in range(count))
        found = parse_yaml((HEAD + "table: t.csv\n" + own).encode())
        started = time.process_time()
        add_titles(found, str(tmp_path / "manifest.yaml"))
        assert len(found.data["titles"]) == count + 1
        assert found.lines[("titles", count, "id")] == 3 * count + 4, "lines go with their titles"
        return time.process_time() - started

    seconds(100)
    assert seconds(10_000) < 40 * seconds(1_000), "ten times as many cost ten times as much, not a hundred"


def test_more_files_than_a_catalog_may_have_are_no_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "MAX_TITLES", 3)
    for number in range(4):
        (tmp_path / f"{number}.wav").touch()
    (fault,) = parsed(tmp_path, 'glob: "*.wav"\n    portrait: p.png').faults
    assert "4 files match, expected at most 3" in fault.text
