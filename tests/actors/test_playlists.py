"""Playlists of long titles: what all of them hold together, what a worker remembers, how a store keeps them."""

from __future__ import annotations

import gzip
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest

from actors.playlists import MOST_HELD
from actors.publish import PublishWorker
from models.families.registry import FAMILIES
from pipeline.core.timeline import GOP
from pipeline.intake.survey import plan_title, survey
from pipeline.manifest.catalog import load_manifest
from pipeline.media.playlists import video_playlist
from pipeline.scheduler.ready_jobs import PLAYLIST_EVERY, playlist_due
from pipeline.scheduler.title_state import TitleState
from pipeline.scheduler.title_work import TitleWork
from pipeline.store.ledger import new_attempt
from pipeline.store.local import LocalStore
from pipeline.store.opening import open_store
from pipeline.store.remote import RemoteStore
from pipeline.titles.title_plan import TitlePlan
from tests.conftest import render_inline, write_manifest
from tests.support import s3 as s3_server_of

TEN_HOURS = 18_750  # GOPs


def written(gops: int, seconds_a_gop: float) -> list[int]:
    """GOPs listed by every playlist of a title that is rendered at this pace."""
    title, now, found = TitleState(TitleWork("a", 0, gops, 1, 10)), 0.0, list[int]()
    for gop in range(1, gops + 1):
        now += seconds_a_gop
        if now >= playlist_due(title):
            found.append(gop)
            title.listed, title.listed_at = gop, now
    return found


def test_they_do_not_grow_with_the_square() -> None:
    """Of a title of ten hours at 16.5 s a GOP; then of one of twenty."""
    once, twice = written(TEN_HOURS, 16.5), written(2 * TEN_HOURS, 16.5)
    assert once[:60] == list(range(1, 61)), "as often as ever while it is short"
    bytes_a_gop = 117 + 137
    assert sum(once) * bytes_a_gop < 5e9, "45 GB before"
    assert sum(twice) < 2.5 * sum(once)
    assert playlist_due(TitleState(TitleWork("a", 0, 10, 1, 10))) == float("-inf")
    late = TitleState(TitleWork("a", 0, 10, 1, 10))
    late.listed, late.listed_at = TEN_HOURS, 0.0
    assert PLAYLIST_EVERY < playlist_due(late) <= 400


def long_playlist(gops: int = TEN_HOURS) -> bytes:
    names = (
        f"../../stream/0123456789abcdef/stream/objects/{g * GOP:08d}-{new_attempt()}-fragment" for g in range(gops)
    )
    return video_playlist("../../stream/0123456789abcdef/init.mp4", [(name, GOP) for name in names], False).encode()


def test_a_store_keeps_them_small_and_serves_them_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 keeps a long one compressed and says so; players and we read its text. A short one stays as it is."""
    with s3_server_of.running(public=True) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        store, text = open_store(server.url("out")), long_playlist()
        assert isinstance(store, RemoteStore)
        store.put("a/hls/video.m3u8", text)
        store.put("a/hls/index.m3u8", text[:500])
        assert store.get("a/hls/video.m3u8") == text
        assert store.get("a/hls/index.m3u8") == text[:500]
        kept = store.fs.cat_file(store.path("a/hls/video.m3u8"))
        assert gzip.decompress(kept) == text
        assert len(kept) < 22 * TEN_HOURS, "bytes a GOP; 117 before"
        address = f"{server.endpoint}/{server.bucket}/out/a/hls/video.m3u8"
        asked = urllib.request.Request(address, headers={"Accept-Encoding": "gzip"})
        with urllib.request.urlopen(asked) as answer:
            assert answer.headers["Content-Encoding"] == "gzip"
            assert answer.headers["Content-Type"] == "application/vnd.apple.mpegurl"
            assert gzip.decompress(answer.read()) == text


def _plan(folder: Path) -> TitlePlan:
    manifest = write_manifest(folder, [3 * GOP])
    assert render_inline(manifest) == 0
    catalog = load_manifest(str(manifest), families=FAMILIES)
    (seen,), _ = survey(catalog, open_store(catalog.output))
    return plan_title(FAMILIES["fake"], seen)


def test_a_worker_does_not_know_the_catalog_by_heart(tmp_path: Path) -> None:
    plan = _plan(tmp_path)
    worker = PublishWorker(str(tmp_path / "out"))
    for number in range(50):
        stream = f"{number:064d}"
        worker._playlists.visit(replace(plan, hashes=replace(plan.hashes, stream=stream)), 0)
        worker._playlists._fragments[stream].listed = {"": [("key", 1)] * 100}
    assert len(worker._playlists._fragments) <= MOST_HELD


def test_what_players_see_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, asked = _plan(tmp_path), list[str]()
    get = LocalStore.get

    def counted(store: LocalStore, key: str) -> bytes:
        asked.append(key)
        return get(store, key)

    monkeypatch.setattr(LocalStore, "get", counted)
    worker = PublishWorker(str(tmp_path / "out"))
    worker._playlists.visit(plan, 0)
    for gops in (1, 2, 3):
        assert worker._playlists.shown(plan) == (3 if gops == 1 else gops - 1)
        worker._playlists.write(plan, gops)
    assert sum(key.endswith(".m3u8") for key in asked) == 1
