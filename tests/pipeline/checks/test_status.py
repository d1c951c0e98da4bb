"""The status of titles, from records alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline import evaluate, status, verify
from pipeline.core.command import run_command
from pipeline.core.errors import OutputError
from pipeline.media.m3u8 import read_media_playlist
from pipeline.store.opening import _plain
from tests.conftest import Rendered, render_inline
from tests.support.damage import edit_record, only, snapshot


def told(capsys: pytest.CaptureFixture[str], target: Path, *more: str) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert status.run([str(target), "--json", *more]) == 0
    return json.loads(capsys.readouterr().out)["titles"]


def unfinish(rendered: Rendered) -> Path:
    """Take back what came after the last fragment; returns the title's folder."""
    folder = rendered.output / rendered.title
    shutil.rmtree(only(folder, "stream/*/done"))
    for name in ("final.mp4", "report.json", "provenance.json", "poster.jpg"):
        (folder / name).unlink()
    return folder


def test_before_and_after(fake_manifest: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    manifest = fake_manifest([49, 20])
    (one, two) = told(capsys, manifest)
    assert (one["id"], one["state"], one["file"], two["state"]) == ("title-0", "not begun", "none", "not begun")
    assert not (manifest.parent / "out").exists()
    assert render_inline(manifest, "--only", "title-0") == 0
    (one, two) = told(capsys, manifest)
    counts = [one[name] for name in ("frames", "gops", "chained", "upscaled", "published")]
    assert (one["state"], counts, one["file"], two["state"]) == ("done", [49, 2, 2, 2, 2], "current", "not begun")


@pytest.mark.parametrize("by", ["manifest", "output"])
def test_counts_of_a_title_on_its_way(rendered: Rendered, capsys: pytest.CaptureFixture[str], by: str) -> None:
    target = rendered.manifest if by == "manifest" else rendered.output
    folder = unfinish(rendered)
    only(folder, "stream/*/stream/00000048.0.json").unlink()
    (one,) = told(capsys, target)
    counts = [one[name] for name in ("frames", "gops", "chained", "upscaled", "published")]
    assert (one["state"], counts, one["file"]) == ("rendering", [100, 3, 3, 2, 3], "none")

    shutil.rmtree(only(folder, "stream"))
    shutil.rmtree(only(folder, "chain/*/chain"))
    (one,) = told(capsys, target)
    assert (one["state"], one["chained"], one["upscaled"]) == ("preparing", 0, 0)


@pytest.mark.parametrize("by", ["manifest", "output"])
def test_what_does_not_fit_is_not_counted_and_not_voided(
    rendered: Rendered, capsys: pytest.CaptureFixture[str], by: str
) -> None:
    folder = unfinish(rendered)
    edit_record(only(folder, "chain/*/chain/00000048.0.json"), parent="0" * 64)
    before = snapshot(rendered.output)
    (one,) = told(capsys, rendered.manifest if by == "manifest" else rendered.output)
    assert (one["chained"], one["upscaled"]) == (1, 1)  # fragments of the GOPs after the misfit are of no chain
    assert snapshot(rendered.output) == before


def test_failure_is_told_from_the_newest_run(rendered: Rendered, capsys: pytest.CaptureFixture[str]) -> None:
    unfinish(rendered)
    runs = rendered.output / "_runs"
    runs.mkdir(exist_ok=True)
    for stamp, end in (
        ("20300101T000000Z-a", {"state": "paused", "reason": "storage"}),
        ("20300102T000000Z-b", {"state": "failed", "reason": "portrait of a cat"}),
        ("20300103T000000Z-c", None),
    ):
        titles = {rendered.title: end} if end else {"somebody": {"state": "done"}}
        (runs / f"{stamp}.json").write_text(json.dumps({"run": stamp, "titles": titles}))
    (one,) = told(capsys, rendered.manifest)
    assert one["state"] == "failed"
    assert "last run failed: portrait of a cat" in one["notes"]


def test_file_of_another_plan(rendered: Rendered, capsys: pytest.CaptureFixture[str]) -> None:
    old = told(capsys, rendered.manifest)[0]["stream"]
    text = rendered.manifest.read_text().replace("resolution: 64", "resolution: 64\n  crf: 30")
    rendered.manifest.write_text(text)
    (one,) = told(capsys, rendered.manifest)
    assert (one["state"], one["chained"], one["upscaled"], one["file"]) == ("rendering", 3, 0, "another plan")
    assert rendered.render() == 0
    (one,) = told(capsys, rendered.manifest)
    assert (one["state"], one["file"]) == ("done", "current")
    files = {one["stream"]: one["file"] for one in told(capsys, rendered.output)}
    assert files == {one["stream"]: "current", old: "another plan"}


def test_changed_input_is_noted(rendered: Rendered, capsys: pytest.CaptureFixture[str]) -> None:
    (rendered.manifest.parent / "audio-0.wav").write_bytes(b"another recording")
    (one,) = told(capsys, rendered.manifest)
    assert one["state"] == "done"
    assert "has changed since it was read" in one["notes"][0]
    (rendered.manifest.parent / "audio-0.wav").unlink()
    assert "input out of reach" in told(capsys, rendered.manifest)[0]["notes"][0]


@pytest.mark.parametrize("by", ["manifest", "output"])
def test_unreadable_record_is_named(rendered: Rendered, capsys: pytest.CaptureFixture[str], by: str) -> None:
    folder = unfinish(rendered)
    only(folder, "chain/*/chain/00000048.0.json").write_text("{")
    (one,) = told(capsys, rendered.manifest if by == "manifest" else rendered.output)
    assert one["state"] == "damaged"
    assert "00000048.0.json: not a commit record" in one["notes"][0]


def test_unreadable_done_record(rendered: Rendered, capsys: pytest.CaptureFixture[str]) -> None:
    only(rendered.output / rendered.title, "stream/*/done/00000000.0.json").write_text("{")
    (one,) = told(capsys, rendered.output)
    assert (one["state"], one["file"]) == ("damaged", "current")
    assert "`verify` says what to do" in one["notes"][0]
    assert told(capsys, rendered.manifest)[0]["state"] == "damaged"


def test_table(finished: Rendered, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    before = snapshot(finished.output)
    assert status.run([str(finished.output)]) == 0
    shown = capsys.readouterr().out
    assert "reading" in shown
    assert "3/3" in shown
    assert snapshot(finished.output) == before
    assert status.run([str(tmp_path)]) == 2
    assert "holds no titles" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{out}/nowhere"], "nowhere: no such file or folder"),
        (["{out}", "--only", "nobody"], "holds no such title"),
        (["{out}", "--output", "elsewhere"], "is an output itself"),
        (["{manifest}", "--only", "nobody"], "--only nobody: no such title"),
        (["s4://bucket"], "unknown protocol s4://"),
        ([], "Missing argument"),
    ],
)
def test_bad_arguments(finished: Rendered, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    places = {"out": finished.output, "manifest": finished.manifest}
    assert status.run([one.format(**places) for one in arguments]) == 2
    assert said in capsys.readouterr().err


def test_store_without_folders(finished: Rendered, capsys: pytest.CaptureFixture[str]) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.put(str(finished.output), "/status-test", recursive=True)
    try:
        assert status.run(["memory://status-test", "--json"]) == 0
        (one,) = json.loads(capsys.readouterr().out)["titles"]
        assert (one["state"], one["chained"], one["published"], one["file"]) == ("done", 3, 3, "current")
    finally:
        memory.rm("/status-test", recursive=True)


def test_playlists_are_read_as_they_are_written() -> None:
    text = """#EXTM3U
#EXT-X-MAP:URI="../../sound/x/hls.mp4",BYTERANGE="10@0"
#EXTINF:1.92000,
#EXT-X-BYTERANGE:90@10
../../sound/x/hls.mp4
#EXTINF:0.08000,
#EXT-X-BYTERANGE:5
../../sound/x/hls.mp4
#EXT-X-ENDLIST
"""
    found = read_media_playlist(text, "id/hls/h/audio.m3u8")
    assert found.ended
    assert found.init is not None
    assert (found.init.key, found.init.part) == ("id/sound/x/hls.mp4", (0, 10))
    assert [(one.seconds, one.part) for one in found.entries] == [(1.92, (10, 100)), (0.08, (100, 105))]
    with pytest.raises(ValueError, match="EXTM3U"):
        read_media_playlist("", "a.m3u8")


def test_rendering_again_makes_good_what_status_only_tells(
    rendered: Rendered, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = unfinish(rendered)
    only(folder, "chain/*/chain/00000048.0.json").write_text("{")
    edit_record(only(folder, "stream/*/stream/00000096.0.json"), uses={"latents/96": "0" * 64})
    assert rendered.render() == 0
    (one,) = told(capsys, rendered.manifest)
    assert (one["state"], one["chained"], one["upscaled"], one["file"]) == ("done", 3, 3, "current")


@pytest.mark.parametrize("command", [status.command, verify.command, evaluate.command])
@pytest.mark.parametrize("content", ["", "notes.txt", "a/b/final.mp4"])
def test_a_folder_without_titles_is_said(
    tmp_path: Path, command: Any, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if content:
        (tmp_path / content).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / content).write_text("x")
    assert run_command(command, [str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "holds no titles" in said
    assert "inputs.json" in said


@pytest.mark.parametrize("path", ["a//b", "a/c/../b", "./a/b/", "/a///b", "c/.././a/b"])
def test_paths_in_a_bucket_are_read_as_folders_are(path: str) -> None:
    assert _plain(f"s3://bucket/{path}") == "s3://bucket/a/b"
    with pytest.raises(OutputError, match="leads out of bucket"):
        _plain(f"s3://bucket/../{path}")
