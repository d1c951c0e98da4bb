"""A worker is never silent for long: every request, some seconds of sound, some bytes of a file are signs of life."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actors.parts import side_by_side
from actors.publish import PublishWorker
from actors.worker import Worker
from pipeline.core.timeline import GOP
from pipeline.media import ffmpeg
from pipeline.media.loudness import write_levelled
from pipeline.media.sound import write_sound
from pipeline.media.sound_in.probe import probe
from pipeline.provenance.watched import Watched
from pipeline.store.local import LocalStore
from pipeline.store.store import Store
from tests.conftest import render_inline, write_manifest
from tests.support.crashes import one_playlist
from tests.support.media_sources import clicks, sound

REQUESTS = ("get", "get_range", "get_file", "put", "put_file", "create", "delete", "list", "size")


class Beats:
    """Requests of a store between two signs of life of a worker: the most there were, by kind."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.silent, self.most, self.asked = 0, 0, Counter[str]()
        alive = Worker.alive

        def heard(worker: Worker) -> None:
            self.silent = 0
            alive(worker)

        monkeypatch.setattr(Worker, "alive", heard)
        for name in REQUESTS:
            monkeypatch.setattr(LocalStore, name, self._counted(name, getattr(LocalStore, name)))

    def _counted(self, name: str, method: Callable[..., object]) -> Callable[..., object]:
        def request(store: Store, key: str, *rest: object) -> object:
            if not isinstance(getattr(store.progress, "__self__", None), PublishWorker):
                return method(store, key, *rest)  # of the driver and its pages
            self.silent += 1
            self.most = max(self.most, self.silent)
            kind = key.rpartition("-")[2] if "/objects/" in key else key.rpartition("/")[2]
            self.asked[f"{name} {kind}"] += 1
            return method(store, key, *rest)

        return request


@pytest.mark.parametrize("keep", ["all", "final"])
def test_finishing_and_dropping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: str) -> None:
    """Whatever `keep` says: no request passes in silence, and every fragment comes once and the file goes once."""
    beats, finish = Beats(monkeypatch), PublishWorker._finish

    def counted(worker: PublishWorker, plan: Any) -> None:
        beats.silent, beats.most, beats.asked = 0, 0, Counter()
        finish(worker, plan)

    monkeypatch.setattr(PublishWorker, "_finish", counted)
    with one_playlist():
        assert render_inline(write_manifest(tmp_path, [20 * GOP], keep=keep, marks="on")) == 0
    assert beats.most <= 24, "so many are under way side by side"
    assert beats.asked["get fragment.m4s"] == 20
    assert beats.asked["put_file final.mp4"] == 1
    assert beats.asked["delete fragment.m4s"] == (20 if keep == "final" else 0)


def test_sound_voices_and_levelling(tmp_path: Path) -> None:
    path = sound(tmp_path / "a.wav", clicks(30 * 48_000, [9000]), 48_000)
    facts, beats = [probe(path)], list[float]()

    def alive() -> None:
        beats.append(time.monotonic())

    def voices(blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        yield from blocks

    write_sound([path], facts, 750, tmp_path, None, alive)
    assert len(beats) >= 30, "a sign for every second of sound"
    beats.clear()
    write_sound([path], facts, 750, tmp_path, voices, alive)
    assert len(beats) >= 60
    beats.clear()
    write_levelled([path], facts, 750, tmp_path, -16.0, alive)
    assert len(beats) >= 60


def test_a_program_that_puts_its_file_in_order_is_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the last byte that it was given: its file still changes."""
    monkeypatch.setattr(ffmpeg, "LOOK_EVERY", 0.02)
    program = tmp_path / "slow"
    program.write_text(
        '#!/bin/sh\nif [ "$1" = -version ]; then echo ffmpeg version 7.0; exit; fi\n'
        f"for i in 1 2 3 4 5 6 7 8; do echo x >> {tmp_path}/made; sleep 0.1; done\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("LONGTAKE_FFMPEG", str(program))
    beats: list[float] = []
    with ffmpeg.running([], limit=0.6, alive=lambda: beats.append(time.monotonic()), makes=[tmp_path / "made"]):
        pass
    assert len(beats) >= 5
    with pytest.raises(ffmpeg.FfmpegFailed, match="stopped after"), ffmpeg.running([], limit=0.3):
        pass


def test_what_a_library_reads_is_heard_and_hashed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(range(256)) * 100)
    beats: list[int] = []
    with (tmp_path / "file").open("rb") as file:
        heard = Watched(file, lambda: beats.append(1))
        heard.seek(20_000)
        heard.read(100)
        heard.seek(0)
        heard.read(7_000)
        heard.seek(5_000)
        heard.read(4_000)
        assert len(beats) == 3
        assert heard.sha256() == hashlib.sha256((tmp_path / "file").read_bytes()).hexdigest()


def test_side_by_side_keeps_the_order_and_holds_few() -> None:
    begun: list[int] = []

    def do(number: int) -> int:
        begun.append(number)
        time.sleep(0.02 if number % 3 else 0)
        return number

    found = side_by_side(do, range(50), ahead=4)
    assert [next(found) for _ in range(3)] == [0, 1, 2]
    assert max(begun) <= 8
    assert list(found) == list(range(3, 50))
