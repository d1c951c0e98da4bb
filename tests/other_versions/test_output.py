"""An output made by commit eea74a0: it is right, what is finished stays as it is, and what is half done goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from models.families.registry import FAMILIES
from pipeline import gc, status, verify
from pipeline.media import encode, ffmpeg
from tests.conftest import render_inline
from tests.other_versions.catalog import FACTS, HALF, contents, finished_in, planes, records, titles_of, unpack
from tests.support.tiny_hallo2 import TINY_FAMILY

HERE = {"ffmpeg": ffmpeg.version(), "h264": encode.Encoding("h264", 64, 64, 20).build()}


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs have the names of those that the output was made with: they enter hashes."""
    monkeypatch.setitem(FAMILIES, "tiny", TINY_FAMILY)
    monkeypatch.setattr(ffmpeg, "version", lambda: FACTS["builds"]["ffmpeg"])
    monkeypatch.setattr(encode, "_build", lambda codec: FACTS["builds"][codec])
    return unpack(tmp_path / "catalog")


def only(titles: list[str]) -> list[str]:
    return [word for title in titles for word in ("--only", title)]


def states(target: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, tuple[str, str]]:
    """State and file of every title, as `status` has them."""
    capsys.readouterr()
    assert status.run([str(target), "--json"]) == 0
    return {one["id"]: (one["state"], one["file"]) for one in json.loads(capsys.readouterr().out)["titles"]}


def verified(target: Path, capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    """Titles of a target that `verify` finds no fault with."""
    capsys.readouterr()
    assert verify.run([str(target), "--planes", "--json", *more]) == 0
    return {one["id"]: one for one in json.loads(capsys.readouterr().out)["titles"]}


def test_it_is_whole(catalog: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = catalog / "output"
    before = contents(output, ".")
    found = verified(output, capsys)
    assert sorted(found) == sorted(title for name in HALF for title in titles_of(catalog / name))
    assert all(one["faults"] == one["notes"] == [] for one in found.values())
    unfinished = {name: (one["chained"], one["upscaled"]) for name, one in found.items() if not one["finished"]}
    assert unfinished == {"preview": (1, 1), "half": (4, 3), "drawn-half": (2, 1)}
    shown = states(output, capsys)
    assert {name for name, (state, _) in shown.items() if state == "done"} == found.keys() - unfinished.keys()
    assert contents(output, ".") == before


@pytest.mark.parametrize("name", HALF)
def test_finished_titles_stay_as_they_are(catalog: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is rendered, voided, written again or even read: what was remembered of the inputs still holds."""
    manifest, titles = catalog / name, finished_in(catalog / name)
    before = contents(catalog / "output", *titles)
    assert len(records(before)) > 10
    assert render_inline(manifest, *only(titles)) == 0
    told = capsys.readouterr().err
    assert all(f"{title}: done" in told and f"{title}: reading" not in told for title in titles)
    assert contents(catalog / "output", *titles) == before
    shown, found = states(manifest, capsys), verified(manifest, capsys, *only(titles))
    assert all(shown[title] == ("done", "current") for title in titles)
    assert all(found[title]["finished"] for title in titles)
    # Several sound files without tags are chapters by now: such a title is kept as it was finished, and said so.
    notes = {note for title in titles for note in found[title]["notes"]}
    assert all("of an earlier version: kept" in note for note in notes), notes


def test_what_was_let_go_stays_let_go(catalog: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = ["kept-file", "kept-stream"]
    before = contents(catalog / "output", *kept)
    assert gc.run([str(catalog / "fake.yaml"), *only(kept), "--delete"]) == 0
    assert "Nothing to remove" in capsys.readouterr().out
    assert contents(catalog / "output", *kept) == before


def but_pages(output: Path, *titles: str) -> dict[str, str]:
    """`contents` without what every run writes for people to look at."""
    files = contents(output, *titles)
    return {path: digest for path, digest in files.items() if not path.endswith(("/page.json", "/report.html"))}


def test_half_done_titles_go_on(catalog: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In one run with finished ones: all that was there stays, and the pictures are those of an undisturbed render."""
    if FACTS["builds"] != HERE:
        pytest.skip(f"a stream goes on with the programs that it was begun with: {FACTS['builds']}, here {HERE}")
    manifest, output = catalog / "fake.yaml", catalog / "output"
    finished, half = but_pages(output, *finished_in(manifest)), records(contents(output, *HALF["fake.yaml"]))
    assert render_inline(manifest) == 0
    assert but_pages(output, *finished_in(manifest)) == finished
    now = records(contents(output, *HALF["fake.yaml"]))
    assert {path: now.get(path) for path in half} == half
    assert {title: planes(output, title) for title in HALF["fake.yaml"]} == {
        title: FACTS["planes"][title] for title in HALF["fake.yaml"]
    }
    assert set(states(manifest, capsys).values()) == {("done", "current")}
    assert all(one["finished"] for one in verified(manifest, capsys).values())


def begun_in(output: Path) -> list[Path]:
    """Numerics classes of the half-done title with real networks."""
    return sorted((output / "drawn-half").glob("*/*/numerics-*.json"))


@pytest.mark.slow
def test_networks_go_on_where_they_compute_alike(catalog: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On a machine of the class that the title was begun on, the same pictures; on another it waits and says so."""
    manifest, output = catalog / "mini.yaml", catalog / "output"
    before = records(contents(output, "drawn-half"))
    classes = [json.loads(path.read_text()) for path in begun_in(output)]
    here = f"CPU {torch.backends.cpu.get_cpu_capability()}", torch.__version__
    alike = all((one["device"], one["torch"]) == here for one in classes) and FACTS["builds"] == HERE
    code, told = render_inline(manifest), capsys.readouterr().err
    now = records(contents(output, "drawn-half"))
    assert {path: now.get(path) for path in before} == before
    if alike:
        assert code == 0
        assert planes(output, "drawn-half") == FACTS["planes"]["drawn-half"]
        assert all(one["finished"] for one in verified(manifest, capsys).values())
    else:
        assert code == 75
        assert "was begun on another class of machine" in told


def test_networks_wait_where_they_compute_otherwise(catalog: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = catalog / "output"
    for path in begun_in(output):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"device": "CPU of another kind"}))
    before = records(contents(output, "drawn-half"))
    assert render_inline(catalog / "mini.yaml") == 75
    told = capsys.readouterr().err
    assert "was begun on another class of machine" in told
    assert "'CPU of another kind'" in told
    assert records(contents(output, "drawn-half")) == before
