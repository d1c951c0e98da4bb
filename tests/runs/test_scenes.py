"""A title in scenes: the same frames whoever renders them, and nothing made again that did not change."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from models.families.fake import Chain
from models.families.protocol import Lane
from pipeline import api
from pipeline.core.timeline import GOP
from pipeline.gc import run as collect_garbage
from pipeline.verify import run as verify
from tests.conftest import RATE, render_inline, write_manifest, write_portrait
from tests.runs.test_identity import decoded, rendered

SECONDS = (21.3, 24.0, 22.2, 25.7, 20.5)  # of chapters, each of them a sound file


def chapter(path: Path, seconds: float, seed: int, gain: float = 1.0) -> str:
    """Words and pauses, which a loudness and a level can be told of."""
    import wave

    import numpy as np

    random = np.random.default_rng(seed)
    samples = random.integers(-3000, 3000, round(seconds * RATE)).astype(float)
    spoken = np.repeat(random.random(len(samples) // 4000 + 1) > 0.3, 4000)[: len(samples)]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.clip(samples * spoken * gain, -32768, 32767).astype("<i2").tobytes())
    return path.name


def book(
    folder: Path, seconds: tuple[float, ...] = SECONDS, gains: tuple[float, ...] = (1,) * 5, **more: object
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    audio = [
        chapter(folder / f"chapter-{number}.wav", length, number, gain)
        for number, (length, gain) in enumerate(zip(seconds, gains, strict=True))
    ]
    lines = [f"{n + 1}\n00:00:{n * 7:02},000 --> 00:00:{n * 7 + 3:02},500\nline {n}\n" for n in range(8)]
    (folder / "captions.srt").write_text("\n".join(lines))
    portrait = write_portrait(folder / "portrait.png").name
    title = {"id": "book", "audio": audio, "portrait": portrait, "captions": "captions.srt"}
    usual = {"scenes": "chapters", "burn_captions": True, "marks": "on", "resolution": 256, "crf": 40, "seed": 5}
    options = usual | more
    title["seed"] = options.pop("seed")
    return write_manifest(folder, [title], **options)


def records(output: Path, stage: str) -> dict[Path, dict[str, object]]:
    places = output.glob(f"book/*/*/{stage}/*.json")
    return {path: json.loads(path.read_text()) for path in places}


def film(output: Path) -> list[str]:
    """sha256 of the planes of every GOP of the film that the report names, in order."""
    stream = json.loads((output / "book/report.json").read_text())["hashes"]["stream"][:16]
    found = sorted((output / f"book/stream/{stream}/stream").glob("*.json"))
    newest = {path.name.partition(".")[0]: path for path in found}  # what was damaged has a record of before
    return [json.loads(path.read_text())["facts"]["planes"] for path in newest.values()]


def made(output: Path) -> dict[str, set[Path]]:
    return {stage: set(records(output, stage)) for stage in ("conditioning", "features", "chain", "stream")}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    manifest = book(tmp_path_factory.mktemp("book"))
    assert render_inline(manifest) == 0
    return manifest


def test_chapters_are_scenes_and_everything_is_as_its_records_say(first: Path) -> None:
    output = first.parent / "out"
    scenes = json.loads(next(output.glob("book/scenes/*/*.json")).read_text())["facts"]["scenes"]
    assert [scene["first"] for scene in scenes] == [0, 12, 25, 37, 51]
    assert verify([str(first)]) == verify([str(output)]) == 0
    frames, _ = decoded(output / "book/final.mp4")
    report = json.loads((output / "book/report.json").read_text())
    assert [scene["first"] for scene in report["scenes"]] == [48 * first for first in (0, 12, 25, 37, 51)]
    assert report["silence_behind_files"] == pytest.approx([1.74, 0.96, 0.84, 1.18, 0.0])
    assert frames == report["frames"] == sum(scene["frames"] for scene in scenes)
    status = api.status(str(output)).titles
    assert [(one.id, one.state, one.chained, one.upscaled) for one in status] == [("book", "done", 62, 62)]
    assert render_inline(first) == 0  # nothing is left to do


@pytest.mark.parametrize(
    ("seconds", "gains", "changed", "grown"),
    [
        # The third chapter 7.3 s longer and 6 dB louder, a longer last one, a longer first one.
        ((21.3, 24.0, 29.5, 25.7, 20.5), (1, 1, 2, 1, 1), 2, 4),
        pytest.param((21.3, 24.0, 22.2, 25.7, 31.0), (1, 1, 1, 1, 1), 4, 6, marks=pytest.mark.slow),
        pytest.param((25.0, 24.0, 22.2, 25.7, 20.5), (1, 1, 1, 1, 1), 0, 2, marks=pytest.mark.slow),
    ],
)
def test_what_did_not_change_is_not_made_again(
    first: Path, tmp_path: Path, seconds: tuple[float, ...], gains: tuple[float, ...], changed: int, grown: int
) -> None:
    folder = tmp_path / "book"
    shutil.copytree(first.parent, folder)
    output = folder / "out"
    before, old = made(output), film(output)
    manifest = book(folder, seconds, gains)
    assert render_inline(manifest) == 0
    assert verify([str(manifest)]) == 0
    new = film(output)
    borders = [0, 12, 25, 37, 51, 62]
    start, stop = borders[changed], borders[changed + 1]
    assert len(new) - len(old) == grown
    joins = {gop - 1 for gop in (start, stop) if gop not in (0, 62)}  # with another neighbour a scene ends otherwise
    assert [gop for gop in range(start) if new[gop] != old[gop]] == sorted(joins & {start - 1})
    # Burnt in captions stand at their time in the film: what a longer first chapter moves gets others.
    again = len(new) if changed == 0 else stop + grown
    assert new[again:] == old[again - grown :]
    fresh = {stage: len(after - before[stage]) for stage, after in made(output).items()}
    moved = 2 if changed == 0 else 0  # scenes that show captions
    assert fresh["conditioning"] == fresh["features"] == 1
    assert fresh["chain"] == stop - start + grown
    scenes = (stop - start + grown) + sum(borders[n + 2] - borders[n + 1] for n in range(moved))
    assert fresh["stream"] == scenes + len(new)  # the scenes' own, and the film's


@pytest.mark.parametrize("keep", ["final+hls", pytest.param("final", marks=pytest.mark.slow)])
def test_scenes_are_found_again_after_what_they_were_made_of_was_let_go(tmp_path: Path, keep: str) -> None:
    more = {"keep": keep, "marks": "off", "resolution": 64, "burn_captions": False}
    assert render_inline(book(tmp_path, **more)) == 0
    output = tmp_path / "out"
    assert collect_garbage([str(tmp_path / "manifest.yaml"), "--delete"]) == 0
    assert verify([str(tmp_path / "manifest.yaml")]) == verify([str(output)]) == 0
    before = made(output)
    manifest = book(tmp_path, (21.3, 24.0, 29.5, 25.7, 20.5), **more)
    assert render_inline(manifest) == 0
    assert verify([str(manifest)]) == 0
    fresh = len(made(output)["chain"] - before["chain"])
    assert fresh == (16 if keep == "final+hls" else 66)  # with `final` nothing but the film is kept
    assert decoded(output / "book/final.mp4")[0] == 66 * GOP - 15
    left = list(output.glob("book/chain/*/chain/objects/*-latents"))
    assert len(left) == (3 * 6 if keep == "final+hls" else 0)  # of each scene, the replaced one too, what joins need


def test_a_title_without_chapters_is_told_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = write_manifest(tmp_path, [{"id": "short", "frames": 60}], scenes="chapters")
    assert render_inline(manifest) == 0
    assert "short: scenes: chapters: it has no chapters, so it is one scene" in capsys.readouterr().err
    assert verify([str(manifest)]) == 0


@pytest.mark.slow
def test_however_many_chain_workers(tmp_path: Path, ray_address, first: Path) -> None:  # type: ignore[no-untyped-def]
    expected = film(first.parent / "out")
    for chains in (1, 2, 4):
        manifest = book(tmp_path / str(chains))
        result = api.render(api.load(str(manifest)), address=ray_address(4), chains=chains, upscalers=1)
        assert result.exit_code == 0
        assert film(manifest.parent / "out") == expected


@pytest.mark.slow
def test_killed_in_the_middle_and_continued(tmp_path: Path, first: Path) -> None:
    """A driver that is killed twice leaves what counts; what is damaged meanwhile is made again, and only that."""
    manifest = book(tmp_path)
    output = tmp_path / "out"
    command = [sys.executable, "-m", "pipeline.render", str(manifest), "--executor", "inline"]
    for count in (20, 45):
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            while len(records(output, "chain")) < count:
                assert process.poll() is None
                time.sleep(0.01)
            process.kill()
    scene = next(iter(records(output, "stream").values()), None)
    if scene:
        stored = scene["objects"]["fragment"]  # type: ignore[index]
        (output / stored["key"]).write_bytes(b"damaged")
    assert render_inline(manifest) == 0
    assert film(output) == film(first.parent / "out")
    assert verify([str(manifest)]) == 0
    shutil.rmtree(next(output.glob("book/stream/*/scene")).parent)  # a scene is gone for good
    next(output.glob("book/stream/*/done/00000000.0.json")).with_suffix(".json.void").touch()
    assert render_inline(manifest) == 0
    assert film(output) == film(first.parent / "out")


def test_a_scene_that_fails_fails_its_title(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = book(tmp_path, marks="off", resolution=64)
    clip = Chain.next_clip

    def broken(self: Chain, lanes: list[Lane | None]) -> object:
        if any(lane and lane.clip == 40 for lane in lanes):
            raise ValueError("this clip cannot be made")
        return clip(self, lanes)

    monkeypatch.setattr(Chain, "next_clip", broken)
    result = api.render(api.load(str(manifest)), executor="inline")
    (title,) = result.titles
    assert (title.id, title.state) == ("book", "failed")
    assert re.match(r"scene \d: chain 13 failed 3 times while alone on a worker: ValueError", str(title.reason))
    assert (title.kind, title.place[-10:]) == ("poison", ", chain 13")
    monkeypatch.undo()
    assert render_inline(manifest) == 0
    assert verify([str(manifest)]) == 0


def test_minutes(tmp_path: Path) -> None:
    _, whole = rendered(tmp_path, (4700,), "--executor", "inline", scenes=1)
    assert whole["n4700"][0] == 4700
    record = json.loads(next((tmp_path / "out").glob("n4700/scenes/*/*.json")).read_text())
    assert len(record["facts"]["scenes"]) >= 2


def test_a_preview_makes_the_scenes_that_it_shows(tmp_path: Path) -> None:
    manifest = book(tmp_path, marks="off", resolution=64)
    assert render_inline(manifest, "--preview", "30") == 0
    output = tmp_path / "out"
    assert decoded(output / "book/preview.mp4")[0] == 15 * GOP
    assert len(records(output, "chain")) == 15
    assert render_inline(manifest) == 0
    assert verify([str(manifest)]) == 0


@pytest.mark.slow
def test_with_punch_every_other_scene_stands_larger(first: Path, tmp_path: Path) -> None:
    """Chained as they were; the pictures of scenes 1 and 3 are others, all others those of scenes that are cut."""
    shutil.copytree(first.parent, tmp_path / "book")
    output = tmp_path / "book/out"
    assert render_inline(book(tmp_path / "book", join="cut")) == 0
    cut, before = film(output), made(output)
    manifest = book(tmp_path / "book", join="punch")
    assert render_inline(manifest) == 0
    assert verify([str(manifest)]) == 0
    assert made(output)["chain"] == before["chain"]
    punched = film(output)
    assert [gop for gop in range(62) if punched[gop] != cut[gop]] == [*range(12, 25), *range(37, 51)]


def test_two_people_speak_in_turn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Who speaks in a chapter is its scene's portrait; a retake without one is spoken by whoever speaks there."""
    audio = [chapter(tmp_path / f"{number}.wav", 30.0 + number, number) for number in range(3)]
    write_portrait(tmp_path / "other.png", seed=4)

    def manifest(*portraits: str | None, **more: object) -> Path:
        starts = (0, 30, 61)
        chapters: list[dict[str, object]] = [{"at": at, "title": f"from {at}"} for at in starts]
        for one, portrait in zip(chapters, portraits, strict=True):
            one |= {"portrait": portrait} if portrait else {}
        title = {"id": "book", "audio": audio, "chapters": chapters} | more
        return write_manifest(tmp_path, [title], scenes="chapters")

    assert render_inline(manifest(None, None, None)) == 0
    output = tmp_path / "out"
    before, alone = made(output), film(output)
    taken = manifest(None, "other.png", None, retakes=[{"from": 40, "to": 45, "seed": 3}])
    assert render_inline(taken) == 0
    assert verify([str(taken)]) == verify([str(output)]) == 0
    both, now = film(output), made(output)
    changed = [gop for gop in range(len(alone)) if alone[gop] != both[gop]]
    assert changed == list(range(15, 32 + 1))  # of the second chapter, and the join before it
    spoken = [json.loads(path.read_text())["uses"]["portrait"] for path in now["conditioning"] - before["conditioning"]]
    assert spoken == [hashlib.sha256((tmp_path / "other.png").read_bytes()).hexdigest()] * 2
    assert render_inline(manifest(None, None, None)) == 0
    assert film(output) == alone
    audio[1] = chapter(tmp_path / "1.wav", 12.0, 1)
    assert render_inline(manifest(None, "other.png", None)) == 2
    assert "expected 30 s or more of both, where who speaks changes" in capsys.readouterr().err
    short = write_manifest(
        tmp_path, [{"id": "a", "frames": 60, "chapters": [{"at": 0, "title": "x", "portrait": "other.png"}]}]
    )
    assert render_inline(short) == 2
    assert (
        "titles[0].chapters[0].portrait: a chapter is no scene of its own; set scenes: chapters"
        in capsys.readouterr().err
    )
