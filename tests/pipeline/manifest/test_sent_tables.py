"""Tables and folders of titles as spreadsheets, phones and file systems leave them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from models.families.registry import FAMILIES
from pipeline.core.errors import ManifestError
from pipeline.manifest.catalog import Title, load_manifest
from tests.conftest import render_inline, write_portrait, write_wav


def manifest_of(folder: Path, source: dict[str, Any]) -> Path:
    path = folder / "m.yaml"
    path.write_text(yaml.safe_dump({"version": 1, "output": "out", "family": "fake", "titles_from": [source]}))
    return path


def titles_of(folder: Path, table: bytes, name: str = "t.csv") -> tuple[Title, ...]:
    (folder / name).write_bytes(table)
    return load_manifest(manifest_of(folder, {"table": name}), families=FAMILIES).titles


TABLE = "id,portrait,audio,title\none,face.png,a.wav,Überall\ntwo,face.png,b.wav,Zwei\n"


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_tables_of_spreadsheets(tmp_path: Path, mark: str, end: str, encoding: str) -> None:
    text = TABLE.replace(",", mark).replace("\n", end)
    found = titles_of(tmp_path, text.encode(encoding))
    assert [(one.id, one.title) for one in found] == [("one", "Überall"), ("two", "Zwei")]


@pytest.mark.parametrize("rows", [",,,\n", " , ,,\n\n", "\n\n\n", ",,,,,,\n"])
def test_empty_rows_and_cells_at_the_end_are_no_titles(tmp_path: Path, rows: str) -> None:
    found = titles_of(tmp_path, (rows + TABLE.replace("Zwei\n", "Zwei,,\n") + rows).encode())
    assert [one.id for one in found] == ["one", "two"]


def test_lists_in_cells(tmp_path: Path) -> None:
    chapters = json.dumps([{"at": 0, "title": "A, B"}, {"at": 1, "title": 'The "End"'}]).replace('"', '""')
    head = "id;portrait;audio;chapters;renditions;prompts;face_box\n"
    row = f'one;face.png;"a.wav;b.wav";"{chapters}";"[512, 256]";"[{{""at"": 0, ""text"": ""calm""}}]";"[1,2,3,4]"\n'
    (title,) = titles_of(tmp_path, (head + row).encode())
    assert [one.title for one in title.chapters] == ["A, B", 'The "End"']
    assert title.options.renditions == (512, 256)
    assert (len(title.audio), len(title.prompts), title.options.face_box) == (2, 1, (1, 2, 3, 4))
    (title,) = titles_of(tmp_path, b"id,portrait,audio,renditions\none,face.png,a.wav,512;256\n")
    assert title.options.renditions == (512, 256)


WRONG = {
    TABLE.encode("cp1252"): "line 2 is not UTF-8 (byte 0xdc); is it Windows-1252",
    b"id,portrait,audio,id\none,face.png,a.wav,two\n": "column 4: 'id' stands there twice",
    b'id,portrait,audio,chapters\none,face.png,a.wav,"[{""at"":0,]"\n': "line 2, column chapters: '[{",
    b'id,portrait,audio\none,"face.png,a.wav\n': "a quote missing",
    b"id,portrait,audio\none,face.png,a.wav,more\n": "line 2 has not as many cells",
    b"id,portrait,audio,\none,face.png,a.wav,more\n": "line 2: 'more' stands in a column without a name",
    b'id,portrait,audio,title\none,face.png,a.wav,"two\nlines"\nthree,face.png\n': "line 4 has not as many cells",
    b"PK\x03\x04\0\0\0\0": "no table of text",
}


@pytest.mark.parametrize("table", WRONG)
def test_mistakes_say_line_and_column(tmp_path: Path, table: bytes) -> None:
    with pytest.raises(ManifestError) as error:
        titles_of(tmp_path, table)
    assert WRONG[table] in str(error.value)


def test_what_is_no_parquet(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="is no Parquet file"):
        titles_of(tmp_path, b"id,portrait\n", "t.parquet")


def ids_of(folder: Path, *names: str, pattern: str | None = None) -> list[str]:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_wav(folder / name, 10)
    write_portrait(folder / "face.png")
    pattern = pattern or f"{Path(names[0]).parent}/*.wav"
    found = load_manifest(manifest_of(folder, {"glob": pattern, "portrait": "face.png"}), families=FAMILIES).titles
    return [title.id for title in found]


NAMES = {
    ("Lectures [2024]/a.wav",): ["a"],
    ("a [1]/b [x]/c.wav",): ["c"],
    ("what?/c.wav", "whatx/d.wav"): ["c"],
    ("a/one.wav", "a/._one.wav", "a/.hidden.wav"): ["one"],
    ("a/Глава первая.wav",): ["glava-pervaya"],
    ("a/Глава 1.wav", "a/Лекция 1.wav"): ["glava-1", "lektsiya-1"],
    ("a/Über.wav",): ["uber"],
    ("a/第一章.wav",): ["diyizhang"],
    ("a/Ελλάδα.wav",): ["ellada"],
}


@pytest.mark.parametrize("names", NAMES)
def test_files_of_a_folder(tmp_path: Path, names: tuple[str, ...]) -> None:
    assert ids_of(tmp_path, *names) == NAMES[names]


def test_names_that_become_the_same_are_kept_apart(tmp_path: Path) -> None:
    first, second = ids_of(tmp_path, "a/Uber.wav", "a/Über.wav")
    assert first.startswith("uber-")
    assert second.startswith("uber-")
    assert first != second
    (odd,) = ids_of(tmp_path, "b/___.wav")
    assert odd.startswith("title-")


def test_brackets_that_are_a_pattern_still_are_one(tmp_path: Path) -> None:
    assert ids_of(tmp_path, "p1/a.wav", "p2/b.wav", "p3/c.wav", pattern="p[12]/*.wav") == ["a", "b"]


def test_a_title_that_the_output_holds_keeps_its_id(tmp_path: Path) -> None:
    assert ids_of(tmp_path, "a/Über 1.wav") == ["uber-1"]
    held = tmp_path / "out" / "ber-1"
    held.mkdir(parents=True)
    (held / "inputs.json").write_text(json.dumps({"files": [{"url": str(tmp_path / "a" / "Über 1.wav")}]}))
    assert ids_of(tmp_path, "a/Über 1.wav") == ["ber-1"]
    (held / "inputs.json").write_text(json.dumps({"files": [{"url": "/elsewhere.wav"}]}))
    assert ids_of(tmp_path, "a/Über 1.wav") == ["uber-1"]


def test_such_titles_render(tmp_path: Path) -> None:
    ids_of(tmp_path, "Глава [2]/Глава 1.wav")
    source = {"glob": "Глава [2]/*.wav", "portrait": "face.png", "resolution": 64, "marks": "off"}
    assert render_inline(manifest_of(tmp_path, source)) == 0
    assert (tmp_path / "out" / "glava-1" / "final.mp4").exists()


@pytest.mark.parametrize("value", ["Chapter 1: x", "Teil 2: Die Rückkehr: Ende", "50% off: now", "@home", "*stars*"])
def test_a_text_that_yaml_reads_otherwise_is_told_to_be_quoted(tmp_path: Path, value: str) -> None:
    manifest = tmp_path / "m.yaml"
    manifest.write_text(f"version: 1\noutput: out\nfamily: fake\ntitles:\n  - id: one\n    title: {value}\n")
    with pytest.raises(ManifestError) as error:
        load_manifest(manifest, families=FAMILIES)
    assert f'put the text in quotes: title: "{value}"' in str(error.value)
    assert f"{manifest}:6" in str(error.value)
