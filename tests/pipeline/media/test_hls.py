"""HLS while a title renders: every playlist that is ever written plays, and the next one only adds to it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest

from actors.roles import WORKERS
from models.families.registry import FAMILIES
from pipeline.core.timeline import FPS, GOP, SOUND_PER_FRAME, SOUND_RATE
from pipeline.driver.inline import InlineExecutor
from pipeline.intake.survey import copy_inputs, plan_title, survey
from pipeline.manifest.catalog import load_manifest
from pipeline.media.fragments import sample_times
from pipeline.media.m3u8 import media_playlists, read_media_playlist
from pipeline.scheduler.ready_jobs import PLAYLIST_EVERY
from pipeline.scheduler.schedule import Limits, Schedule
from pipeline.scheduler.work import Scan, StopAsked
from pipeline.store.ledger import Ledger
from pipeline.store.opening import open_store
from pipeline.store.store import Store
from pipeline.titles.scan import scan
from pipeline.titles.title_plan import TitlePlan
from pipeline.titles.title_work import title_work
from tests.conftest import write_manifest
from tests.support.damage import flip, only

PRIMED = 1024  # samples: the packet before the first one is not in the stream, so the first one sounds faded in


@dataclass
class Rendering:
    """One title, rendered call by call on a clock of its own: a playlist is due after every call."""

    store: Store
    plan: TitlePlan
    output: str
    now: float = 0.0

    @property
    def folder(self) -> Path:
        return Path(self.output) / self.plan.id

    def steps(self) -> Iterator[Schedule]:
        """A run of the command: yields after every call to a worker, until the title is over."""
        schedule = Schedule([title_work(self.plan)], Limits(lanes=self.plan.constants.lanes))
        executor = InlineExecutor(lambda role: WORKERS[role](self.output, "cpu", "test"), {self.plan.id: self.plan})
        while not schedule.finished:
            self.now += PLAYLIST_EVERY
            for command in schedule.decide(self.now):
                if isinstance(command, Scan):
                    schedule.handle(scan(self.store, self.plan), self.now)
                else:
                    executor.do(command)
            for event in executor.events(0):
                schedule.handle(event, self.now)
            yield schedule

    def playlists(self) -> dict[str, str]:
        """The text of the stream's playlists, by name; empty before the first."""
        keys = media_playlists(self.store, self.plan.id, self.plan.hashes.stream[:16])
        return {Path(key).stem: self.store.get(key).decode() for key in keys}

    def listed(self, name: str = "video") -> list[str]:
        """Keys of the listed segments."""
        text = self.playlists().get(name)
        key = f"{self.plan.id}/hls/{self.plan.hashes.stream[:16]}/{name}.m3u8"
        return [entry.key for entry in read_media_playlist(text, key).entries] if text else []

    def shown(self, key: str) -> list[int]:
        """When the pictures of a fragment are shown, in ticks of 1/12,800 s."""
        return [time for _, time in sample_times(self.store.get(self.plan.init_key()), self.store.get(key))]


@pytest.fixture
def rendering(tmp_path: Path):  # type: ignore[no-untyped-def]
    def start(frames: int, **options: object) -> Rendering:
        manifest = write_manifest(tmp_path, [frames], segment_frames=GOP, **options)
        catalog = load_manifest(str(manifest), families=FAMILIES)
        store = open_store(catalog.output)
        (seen,), problems = survey(catalog, store)
        assert problems == []
        copy_inputs(store, [seen])
        return Rendering(store, plan_title(FAMILIES[catalog.family], seen), str(tmp_path / "out"))

    return start


@dataclass(frozen=True)
class Played:
    times: list[float]  # of every picture, seconds
    pictures: list[bytes]  # its planes
    sound: np.ndarray
    sound_start: float


def play(path: Path) -> Played:
    """Decode a file or a playlist to its end."""
    options = {"allowed_extensions": "ALL", "extension_picky": "0"} if path.suffix == ".m3u8" else {}
    times, pictures, sound, heard = [], [], [], []
    with av.open(str(path), options=options) as container:
        for frame in container.decode(video=0, audio=0):
            if isinstance(frame, av.VideoFrame):
                times.append(frame.time)
                pictures.append(frame.to_ndarray(format="yuv420p").tobytes())
            else:
                sound.append(frame.to_ndarray()[0])
                heard.append(frame.time)
    return Played(times, pictures, np.concatenate(sound), heard[0])


def play_prefix(folder: Path, stream: str) -> Played:
    """What is listed now, up to its end: copies of the playlists, closed, so that nobody waits for more."""
    hls = folder / "hls"
    copy = hls / "copy"  # as deep as the folder of the stream, so that relative paths hold
    copy.mkdir(exist_ok=True)
    for name in ("video", "audio"):
        text = (hls / stream / f"{name}.m3u8").read_text()
        (copy / f"{name}.m3u8").write_text(text.replace("#EXT-X-ENDLIST\n", "") + "#EXT-X-ENDLIST\n")
    index = hls / "index-of-copy.m3u8"
    index.write_text((hls / "index.m3u8").read_text().replace(f"{stream}/", "copy/"))
    played = play(index)
    shutil.rmtree(copy)
    index.unlink()
    return played


def check_prefix(played: Played, frames: int) -> None:
    assert played.times == pytest.approx([frame / FPS for frame in range(frames)], abs=1e-6)
    samples = frames * SOUND_PER_FRAME
    assert played.sound_start == 0
    assert samples <= len(played.sound) < samples + 1024  # whole packets; a GOP's sound is exactly as long as it


@pytest.mark.parametrize("frames", [1, 49, 160])
def test_every_prefix_plays_while_the_title_renders(rendering, frames: int) -> None:  # type: ignore[no-untyped-def]
    title: Rendering = rendering(frames)
    stream = title.plan.hashes.stream[:16]
    seen: list[dict[str, str]] = []
    prefixes: list[Played] = []
    for schedule in title.steps():
        now = title.playlists()
        if not now or (seen and now == seen[-1]):
            continue
        for name, text in now.items():
            assert "#EXT-X-PLAYLIST-TYPE:EVENT\n" in text
            assert ("#EXT-X-ENDLIST" in text) == (len(title.listed(name)) == title.plan.gops)
            assert text.startswith(seen[-1][name] if seen else "#EXTM3U\n")  # it is only ever appended to
        shown = sorted(time for key in title.listed() for time in title.shown(key))
        assert shown == [512 * frame for frame in range(min(GOP * len(title.listed()), frames))]
        assert len(title.listed("video")) == len(title.listed("audio")) <= schedule.titles["title-0"].streamed
        seen.append(now)
        prefixes.append(play_prefix(title.folder, stream))
        check_prefix(prefixes[-1], min(GOP * len(title.listed()), frames))
    # One playlist for every prefix, the shortest as well.
    assert [len(played.times) for played in prefixes] == [min(GOP * (g + 1), frames) for g in range(title.plan.gops)]

    final = play(title.folder / "final.mp4")
    for played in prefixes:
        assert played.pictures == final.pictures[: len(played.pictures)]
    # The same sound at the same place; the decoder fills in noise of its own, so the samples are not quite the same.
    sound = prefixes[-1].sound[PRIMED : frames * SOUND_PER_FRAME]
    difference = sound - final.sound[PRIMED : PRIMED + len(sound)]
    assert np.std(difference) < 0.1 * np.std(sound)
    with av.open(str(title.folder / "final.mp4")) as container:
        assert container.streams.audio[0].rate == SOUND_RATE


def test_a_restart_never_shortens_a_playlist(rendering) -> None:  # type: ignore[no-untyped-def]
    """Not even where a GOP is gone in the meantime, so that fewer are there in a row than were listed."""
    title: Rendering = rendering(240)
    for schedule in title.steps():
        if len(title.listed()) == 3:
            schedule.handle(StopAsked("test"), title.now)
    assert schedule.titles["title-0"].over is False
    ledger = Ledger(title.store, title.plan.prefix("stream"))
    record = ledger.read(GOP)
    assert record is not None
    ledger.void(record, "test")
    lengths = []
    for _ in title.steps():
        lengths.append(len(title.listed()))
        assert len(title.listed("audio")) == lengths[-1]
    assert lengths == sorted(lengths)
    assert (lengths[0], lengths[-1]) == (3, 5)
    check_prefix(play_prefix(title.folder, title.plan.hashes.stream[:16]), 240)


def test_a_remade_gop_takes_the_place_of_the_damaged_one(rendering) -> None:  # type: ignore[no-untyped-def]
    """Damage that shows when the file is joined: what was listed before must not be listed at the end."""
    title: Rendering = rendering(160)
    damaged = None
    for _ in title.steps():
        if damaged is None and len(title.listed()) == 2:
            damaged = only(title.folder, "stream/*/stream/objects/00000000-*")
            flip(damaged)
    assert damaged is not None
    key = str(damaged.relative_to(title.output))
    assert key not in title.listed()
    played = play_prefix(title.folder, title.plan.hashes.stream[:16])
    check_prefix(played, 160)
    assert played.pictures == play(title.folder / "final.mp4").pictures
