"""What people open of a finished title, taken away, cut or changed: `render` makes it again, `verify` names it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import gc, verify
from tests.conftest import Rendered, render_inline
from tests.support.damage import flip, snapshot

Make = Callable[..., Path]
VIEWS = ["poster.jpg", "thumb.jpg", "contact.jpg", "provenance.json", "hls/index.m3u8", "report.json"]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


@pytest.mark.parametrize("harm", [Path.unlink, cut])
@pytest.mark.parametrize("view", VIEWS)
def test_a_view_is_made_again(rendered: Rendered, view: str, harm: Callable[[Path], None]) -> None:
    (path,) = (rendered.output / rendered.title).glob(view)
    before = path.read_bytes()
    harm(path)
    assert verify.run([str(rendered.manifest)]) == 1
    assert rendered.render() == 0
    if view != "report.json":  # which says in what run it was made
        assert path.read_bytes() == before
    assert verify.run([str(rendered.manifest)]) == 0


@pytest.mark.parametrize("view", ["poster.jpg", "contact.jpg", "provenance.json", "hls/index.m3u8"])
def test_verify_sees_a_changed_byte(rendered: Rendered, view: str, capsys: pytest.CaptureFixture[str]) -> None:
    flip(rendered.output / rendered.title / view)
    assert verify.run([str(rendered.manifest)]) == 1
    assert f"{rendered.title}/{view}" in capsys.readouterr().out


@pytest.mark.parametrize("page", ["index.html", "reading/report.html", "catalog.csv", "catalog.parquet"])
def test_pages_are_written_again(rendered: Rendered, page: str) -> None:
    path = rendered.output / page
    if path.suffix == ".html" and path.exists():
        cut(path)
    else:
        path.unlink()
    assert rendered.render() == 0
    text = path.read_bytes()
    assert rendered.title.encode() in text
    assert path.suffix != ".html" or text.rstrip().endswith(b"</html>")


def test_what_was_let_go_with_its_fragments(fake_manifest: Make, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = fake_manifest([60], keep="final")
    assert render_inline(manifest) == 0
    before = snapshot(manifest.parent)
    assert render_inline(manifest) == 0
    assert snapshot(manifest.parent) == before
    poster = manifest.parent / "out" / "title-0" / "poster.jpg"
    picture = poster.read_bytes()
    poster.unlink()
    assert render_inline(manifest) == 1
    assert "title-0/poster.jpg is no longer there" in (said := capsys.readouterr().err)
    assert "--renew title-0" in said
    assert render_inline(manifest, "--renew", "title-0") == 0
    assert poster.read_bytes() == picture


def test_a_delivered_file_is_not_missed(rendered: Rendered, capsys: pytest.CaptureFixture[str]) -> None:
    assert gc.run([str(rendered.manifest), "--delivered", rendered.title]) == 0
    (rendered.output / rendered.title / "final.mp4").unlink()
    assert rendered.render() == 0
    assert not (rendered.output / rendered.title / "final.mp4").exists()
    assert verify.run([str(rendered.manifest), "--json"]) == 0
    assert "taken away on purpose" in json.dumps(
        json.loads(capsys.readouterr().out.splitlines()[-1])["titles"][0]["notes"]
    )
    assert gc.run([str(rendered.manifest), "--delivered", "other"]) == 2
