"""What `keep`, `gc` or a hand removed is made again by one run, whatever is asked for next."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from models.families import registry
from pipeline import gc, verify
from pipeline.store.ledger import Ledger
from pipeline.store.opening import open_store
from tests.conftest import Rendered, render_inline, write_manifest
from tests.support.damage import only

FAKE = registry.FAMILIES["fake"]


def edit(manifest: Path, before: str, after: str) -> None:
    text = manifest.read_text()
    assert before in text
    manifest.write_text(text.replace(before, after))


def planes(folder: Path) -> list[str]:
    """sha256 of the planes of every GOP of the stream that the report names."""
    report = json.loads((folder / "out/title-0/report.json").read_text())
    ledger = Ledger(open_store(str(folder / "out")), f"title-0/stream/{report['hashes']['stream'][:16]}/stream")
    found = [ledger.read(first) for first in range(0, report["frames"], 48)]
    return [record.facts["planes"] for record in found if record is not None]


@pytest.mark.parametrize("keep", ["final", "final+hls"])
@pytest.mark.parametrize("change", ["seed: 5", "loudness: -16", "title: Another"])
def test_another_wish_after_gc(tmp_path: Path, keep: str, change: str) -> None:
    """The sound's record stayed while its objects were gone: exit 75 and "run again" for ever."""
    manifest = write_manifest(tmp_path, (96,), keep=keep)
    assert render_inline(manifest) == 0
    gc.run([str(manifest), "--delete"])
    edit(manifest, "- id: title-0", f"- {change}\n  id: title-0")
    assert render_inline(manifest) == 0
    assert verify.run([str(manifest)]) == 0


def test_thirty_blocks_of_features_that_gc_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One block was found missing at a look, and after twenty the title failed."""
    monkeypatch.setitem(registry.FAMILIES, "fake", replace(FAKE, feature_block=48))
    manifest = write_manifest(tmp_path, (48 * 30,), keep="final+hls", crf=20)
    assert render_inline(manifest) == 0
    before = planes(tmp_path)
    gc.run([str(manifest), "--delete"])
    edit(manifest, "crf: 20", "crf: 25")
    assert render_inline(manifest) == 0
    assert planes(tmp_path) == before


@pytest.mark.parametrize("harm", ["gone", "cut", "another's"])
def test_a_lost_header_is_written_again(rendered: Rendered, harm: str) -> None:
    header = only(rendered.output, "*/stream/*/init.mp4")
    data = header.read_bytes()
    header.unlink()
    if harm != "gone":
        header.write_bytes(data[:40] if harm == "cut" else data + b"x")
    only(rendered.output, "*/stream/*/done/*.json").unlink()
    assert rendered.render() == 0
    assert header.read_bytes() == data
    assert verify.run([str(rendered.manifest)]) == 0


@pytest.mark.parametrize("encoder", ["the same", "another"])
def test_a_header_that_this_machine_cannot_write_costs_a_gop(
    rendered: Rendered, monkeypatch: pytest.MonkeyPatch, encoder: str
) -> None:
    from pipeline.media import encode

    if encoder == "another":
        monkeypatch.setattr(encode, "header_of", lambda encoding: b"of another build")
    only(rendered.output, "*/stream/*/init.mp4").unlink()
    only(rendered.output, "*/stream/*/done/*.json").unlink()
    assert rendered.render() == 0
    voids = list(rendered.output.glob("*/stream/*/stream/*.void"))
    assert len(voids) == (encoder == "another")
    assert verify.run([str(rendered.manifest)]) == 0


@pytest.mark.parametrize("harm", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-9])])
def test_a_final_file_that_is_gone_or_cut_is_joined_again(rendered: Rendered, harm: Callable[[Path], object]) -> None:
    final = rendered.output / rendered.title / "final.mp4"
    before = final.read_bytes()
    harm(final)
    fragments = {path: path.stat().st_mtime_ns for path in rendered.output.glob("*/stream/*/stream/objects/*")}
    assert rendered.render() == 0
    assert final.read_bytes() == before
    assert {path: path.stat().st_mtime_ns for path in fragments} == fragments


def test_a_final_file_that_was_let_go_is_rendered_again_on_request_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = write_manifest(tmp_path, (96,), keep="final")
    assert render_inline(manifest) == 0
    final = tmp_path / "out/title-0/final.mp4"
    before = final.read_bytes()
    final.unlink()
    for _ in range(2):
        assert render_inline(manifest) == 1
        assert "title-0/final.mp4 is no longer there" in (said := capsys.readouterr().err)
        assert "--renew" in said
    assert render_inline(manifest, "--renew") == 0
    assert final.read_bytes() == before
