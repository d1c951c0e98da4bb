"""What another version finished is kept, and what it began goes on, as long as nothing else is wished for."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from models.families.registry import FAMILIES
from pipeline import api, status, verify
from pipeline.media import encode, ffmpeg
from pipeline.titles import title_hashes
from tests.conftest import render_inline
from tests.other_versions.catalog import FACTS, contents, finished_in, planes, unpack

Make = Callable[..., Path]
FINISHED = ["short", "marked", "kept-file"]


def only(*titles: str) -> list[str]:
    return [word for title in titles for word in ("--only", title)]


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(ffmpeg, "version", lambda: FACTS["builds"]["ffmpeg"])
    monkeypatch.setattr(encode, "_build", lambda codec: FACTS["builds"][codec])
    return unpack(tmp_path / "catalog")


def another_ffmpeg(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ffmpeg, "version", lambda: "ffmpeg of another day")


def another_encoder(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(encode, "_build", lambda codec: "another build")


def another_chain(patch: pytest.MonkeyPatch) -> None:
    family = FAMILIES["fake"]
    patch.setitem(FAMILIES, "fake", replace(family, chain_revision=family.chain_revision + 1))


def another_sound(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(title_hashes, "SOUND_REVISION", title_hashes.SOUND_REVISION + 1)


def another_tag(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("pipeline.titles.metadata.METADATA_REVISION", 99)


CHANGES = [another_ffmpeg, another_encoder, another_chain, another_sound, another_tag]


@pytest.mark.parametrize("change", CHANGES)
def test_finished_titles_of_another_version_are_kept(
    catalog: Path, change: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest, titles = catalog / "fake.yaml", finished_in(catalog / "fake.yaml")
    before = contents(catalog / "output", *titles)
    change(monkeypatch)
    assert render_inline(manifest, *only(*titles)) == 0
    told = capsys.readouterr().err
    assert f"{len(titles)} titles are of an earlier version: kept; --renew renders them" in told
    assert contents(catalog / "output", *titles) == before
    assert status.run([str(manifest), "--json", *only("short", "kept-file")]) == 0
    shown = json.loads(capsys.readouterr().out)["titles"]
    assert [(one["state"], one["file"]) for one in shown] == [("done", "current")] * 2
    assert all("of an earlier version: kept" in one["notes"][-1] for one in shown)
    assert verify.run([str(manifest), *only("short", "kept-file")]) == 0


WISHES: dict[str, dict[str, Any]] = {
    "seed": {"seed": 5},
    "title": {"title": "Another name"},
    "crf": {"crf": 33},
    "prompts": {"prompts": [{"at": 0, "text": "smiling"}]},
    "sound": {"audio": "inputs/short.wav"},
}


@pytest.mark.parametrize("wish", WISHES)
def test_what_is_wished_otherwise_is_rendered(catalog: Path, wish: str, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest, output = catalog / "fake.yaml", catalog / "output"
    data = yaml.safe_load(manifest.read_text())
    data["titles"] = [title | WISHES[wish] for title in data["titles"] if title["id"] == "short"]
    manifest.write_text(yaml.safe_dump(data))
    before = json.loads((output / "short" / "report.json").read_text())["hashes"]
    another_sound(monkeypatch)
    assert render_inline(manifest) == 0
    assert json.loads((output / "short" / "report.json").read_text())["hashes"]["stream"] != before["stream"]


def test_renew_renders_them(catalog: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    manifest, output = catalog / "fake.yaml", catalog / "output"
    before = contents(output, "marked")
    another_sound(monkeypatch)
    assert render_inline(manifest, *only("short", "marked"), "--renew", "short") == 0
    assert contents(output, "marked") == before
    assert len(list((output / "short" / "stream").iterdir())) == 2
    assert "1 title is of an earlier version: kept; --renew renders it" in capsys.readouterr().err
    assert verify.run([str(manifest), *only("short")]) == 0
    assert render_inline(manifest, *only("short")) == 0
    assert "short: done (" in capsys.readouterr().err
    monkeypatch.setattr(title_hashes, "SOUND_REVISION", 77)  # a report of today keeps the wishes themselves
    assert render_inline(manifest, *only("short")) == 0
    assert "1 title is of an earlier version" in capsys.readouterr().err
    assert render_inline(manifest, *only("short"), "--renew") == 0
    assert len(list((output / "short" / "stream").iterdir())) == 3


def test_renew_of_a_title_that_is_not_there(fake_manifest: Make, capsys: pytest.CaptureFixture[str]) -> None:
    assert render_inline(fake_manifest(), "--renew", "other") == 2
    assert "--renew other: no such title" in capsys.readouterr().err


@pytest.mark.parametrize("change", [another_ffmpeg, another_sound])
def test_what_was_begun_goes_on(
    fake_manifest: Make,
    change: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Where sound is another one now, that of then is there."""
    manifest = fake_manifest([100])
    assert render_inline(manifest, "--output", str(tmp_path / "undisturbed")) == 0
    assert render_inline(manifest, "--preview", "2") == 0
    begun = [path.name for path in (manifest.parent / "out" / "title-0" / "stream").iterdir()]
    change(monkeypatch)
    assert render_inline(manifest) == 0
    assert "title-0: goes on under the plan that an earlier version began" in capsys.readouterr().err
    assert [path.name for path in (manifest.parent / "out" / "title-0" / "stream").iterdir()] == begun
    assert planes(manifest.parent / "out", "title-0") == planes(tmp_path / "undisturbed", "title-0")
    assert verify.run([str(manifest)]) == 0
    assert render_inline(manifest) == 0
    assert "1 title is of an earlier version: kept" in capsys.readouterr().err


@pytest.mark.parametrize("change", [another_chain, another_encoder])
def test_what_cannot_go_on_waits(
    fake_manifest: Make, change: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = fake_manifest([100])
    assert render_inline(manifest, "--preview", "2") == 0
    before = contents(manifest.parent / "out", "title-0")
    change(monkeypatch)
    assert render_inline(manifest) == 75
    told = capsys.readouterr().err
    assert "this one cannot go on with it: " in told
    assert "costs 3 GOPs (4.0 s of video) anew: --renew title-0" in told
    assert contents(manifest.parent / "out", "title-0") == before
    events: list[api.Event] = []
    (end,) = api.render(manifest, executor="inline", on_event=events.append).titles
    assert [one.kind for one in events if isinstance(one, api.TitlePaused)] == [end.kind] == ["version"]
    assert render_inline(manifest, "--renew") == 0
    assert render_inline(manifest) == 0
    assert "title-0: done (" in capsys.readouterr().err
