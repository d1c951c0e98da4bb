"""Verification: whatever is damaged, missing or spliced is found and named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from pipeline import verify
from pipeline.checks.stream import wrong_times
from pipeline.media.boxes import payload
from pipeline.media.fragments import sample_times
from pipeline.store.arrays import pack
from tests.conftest import Rendered, render_inline
from tests.support.damage import edit_record, flip, only, replace_object, snapshot

Damage = Callable[[Path], None]


def checked(capsys: pytest.CaptureFixture[str], target: Path, *more: str) -> tuple[int, dict[str, Any]]:
    """Exit code, and what is told of the only title."""
    capsys.readouterr()
    code = verify.run([str(target), "--json", *more])
    told = json.loads(capsys.readouterr().out)
    (title,) = told["titles"]
    assert told["faults"] == len(title["faults"]) + title["more_faults"]
    return code, title


def places(title: dict[str, Any]) -> set[tuple[str, int | None]]:
    return {(fault["stage"], fault["frame"]) for fault in title["faults"]}


@pytest.mark.parametrize("more", [(), ("--planes",)])
def test_a_finished_title_is_without_fault(
    finished: Rendered, capsys: pytest.CaptureFixture[str], more: tuple[str, ...]
) -> None:
    before = snapshot(finished.output)
    for target in (finished.manifest, finished.output):
        code, title = checked(capsys, target, *more)
        assert (code, title["faults"], title["finished"]) == (0, [], True)
        assert (title["frames"], title["gops"], title["chained"], title["upscaled"]) == (100, 3, 3, 3)
        # All of every fragment and of the file; or of the fragments one each, of the file the ends and one in between.
        assert title["checked"]["pictures"] == (100 + 100 if more else 3 + 48 + 1 + 4)
        assert (
            title["checked"]["objects"] == 4 + 1 + 1 + 2 * 3 + 3 + 1 + 7
        )  # sound, conditioning, features, …, final, views
    assert snapshot(finished.output) == before


def _unlink(pattern: str) -> Damage:
    return lambda folder: only(folder, pattern).unlink()


def _flip(pattern: str) -> Damage:
    return lambda folder: flip(only(folder, pattern))


def _edit(pattern: str, **fields: Any) -> Damage:
    return lambda folder: edit_record(only(folder, pattern), **fields)


def _replace(pattern: str, old: str, new: str) -> Damage:
    def damage(folder: Path) -> None:
        path = only(folder, pattern)
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return damage


def _swap_fragment(folder: Path) -> None:
    """A GOP's record vouches for the fragment of another GOP."""
    data = only(folder, "stream/*/stream/objects/00000000-*").read_bytes()
    replace_object(folder.parent, only(folder, "stream/*/stream/00000048.0.json"), "fragment", data)


def _cut_final(folder: Path) -> None:
    """final.mp4 without its last GOP, vouched for by the done record."""
    path = folder / "final.mp4"
    short = folder.parent / "short.mp4"
    with av.open(str(path)) as source, av.open(str(short), "w") as target:
        streams = {one.index: target.add_stream_from_template(one) for one in source.streams}
        for packet in source.demux():
            if packet.dts is not None and packet.pts is not None and packet.pts * packet.time_base < 96 / 25:
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    record = only(folder, "stream/*/done/00000000.0.json")
    replace_object(folder.parent, record, "final", short.read_bytes())


CHAIN, STREAM = "chain/*/chain", "stream/*/stream"

DAMAGES: dict[str, tuple[Damage, str, int | None, str]] = {
    "latents flipped": (_flip(f"{CHAIN}/objects/00000048-*-latents"), "chain", 48, "its record says"),
    "state flipped": (_flip(f"{CHAIN}/objects/00000048-*-state"), "chain", 48, "sha256"),
    "features flipped": (_flip("chain/*/features/objects/*"), "features", 0, "sha256"),
    "conditioning flipped": (_flip("chain/*/conditioning/objects/*"), "conditioning", 0, "sha256"),
    "fragment flipped": (_flip(f"{STREAM}/objects/00000096-*"), "stream", 96, "sha256"),
    "track flipped": (_flip("sound/*/objects/*-track.m4a"), "sound", 0, "object track"),
    "final flipped": (_flip("final.mp4"), "final", None, "final.mp4 has sha256"),
    "final gone": (_unlink("final.mp4"), "final", None, "is missing"),
    "final cut": (_cut_final, "final", None, "96 frames, expected 100"),
    "latents gone": (_unlink(f"{CHAIN}/objects/00000000-*-latents"), "chain", 0, "is missing"),
    "fragment gone": (_unlink(f"{STREAM}/objects/00000048-*"), "stream", 48, "is missing"),
    "header gone": (_unlink("stream/*/init.mp4"), "stream", None, "init.mp4 is missing"),
    "header of another encoder": (_flip("stream/*/init.mp4"), "stream", 0, "another header"),
    "sound gone": (_unlink("sound/*/objects/*-hls.mp4"), "sound", 0, "is missing"),
    "sound record gone": (_unlink("sound/*/00000000.0.json"), "sound", 0, "is missing, though"),
    "chain record gone": (_unlink(f"{CHAIN}/00000048.0.json"), "chain", 48, "made after it"),
    "stream record gone": (_unlink(f"{STREAM}/00000048.0.json"), "stream", 48, "record is missing"),
    "record unreadable": (lambda f: flip(only(f, f"{CHAIN}/00000048.0.json"), 0), "chain", 48, "not a commit record"),
    "done record unreadable": (lambda f: flip(only(f, "stream/*/done/00000000.0.json"), 0), "done", 0, "not a commit"),
    "names no object": (_edit(f"{STREAM}/00000048.0.json", objects={}), "stream", 48, "names no object fragment"),
    "names no state": (_edit(f"{CHAIN}/00000048.0.json", objects={}), "chain", 48, "names no object latents"),
    "names no file": (_edit("stream/*/done/00000000.0.json", objects={}), "done", None, "names no object final"),
    "record of another stage": (_edit(f"{CHAIN}/00000048.0.json", stage="stream"), "chain", 48, "of stage 'stream'"),
    "spliced": (_edit(f"{CHAIN}/00000048.0.json", parent="0" * 64), "chain", 48, "two histories were spliced"),
    "state not the one it left": (_edit(f"{CHAIN}/00000000.0.json", state="1" * 64), "chain", 0, "its object is"),
    "other features": (
        _edit(f"{CHAIN}/00000000.0.json", uses={"features/0": "2" * 64}),
        "chain",
        0,
        "made of features/0 222222222222…",
    ),
    "other latents": (
        _edit(f"{STREAM}/00000048.0.json", uses={"latents/0": "3" * 64}),
        "stream",
        48,
        "made of latents/0 with sha256 333333333333…",
    ),
    "frames of a record": (_edit(f"{STREAM}/00000096.0.json", frames=5), "stream", 96, "covers 5 frames"),
    "fragment of another GOP": (_swap_fragment, "stream", 48, "shown at tick 0, expected 24576"),
    "picture hash": (
        lambda f: _replace(f"{STREAM}/00000048.0.json", '"picture": "', '"picture": "f')(f),
        "stream",
        48,
        "names picture",
    ),
    "playlist too short": (_replace("hls/*/video.m3u8", "#EXTINF:0.16,", "#"), "hls", None, "cannot be read"),
    "playlist in wrong order": (_replace("hls/*/video.m3u8", "/00000048-", "/00000000-"), "hls", 48, "names"),
    "playlist not ended": (_replace("hls/*/audio.m3u8", "#EXT-X-ENDLIST", ""), "hls", None, "lacks EXT-X-ENDLIST"),
    "playlist gone": (_unlink("hls/*/audio.m3u8"), "hls", None, "no playlist lists the sound"),
    "playlist's header": (_replace("hls/*/video.m3u8", "init.mp4", "exit.mp4"), "hls", None, "names the header"),
    "playlist leads out": (_replace("hls/*/video.m3u8", "../../stream", "../../../../stream"), "hls", 0, "../stream"),
    "sound bytes": (_replace("hls/*/audio.m3u8", "#EXT-X-BYTERANGE:", "#EXT-X-BYTERANGE:1"), "hls", 0, "names bytes"),
    "duration": (_replace("hls/*/video.m3u8", "#EXTINF:1.92", "#EXTINF:1.90"), "hls", 0, "gives 1.9 s"),
    "index gone": (_unlink("hls/index.m3u8"), "hls", None, "index.m3u8 is missing"),
    "report gone": (_unlink("report.json"), "final", None, "report.json"),
    "sidecar of another file": (
        _replace("provenance.json", '"sha256": "', '"sha256": "0'),
        "final",
        None,
        "names file",
    ),
    "other records": (
        _edit("stream/*/done/00000000.0.json", facts={"frames": 100, "records": "0"}),
        "done",
        None,
        "not those",
    ),
    "done record's count": (_edit("stream/*/done/00000000.0.json", frames=99), "done", None, "99 frames"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_found_and_named(rendered: Rendered, capsys: pytest.CaptureFixture[str], name: str) -> None:
    damage, stage, frame, said = DAMAGES[name]
    damage(rendered.output / rendered.title)
    before = snapshot(rendered.output)
    code, title = checked(capsys, rendered.output)
    assert code == 1
    assert (stage, frame) in places(title), title["faults"]
    told = [fault for fault in title["faults"] if (fault["stage"], fault["frame"]) == (stage, frame)]
    assert any(said in fault["found"] for fault in told), told
    assert all(len(fault["remedy"]) > 10 for fault in title["faults"])
    assert snapshot(rendered.output) == before

    assert verify.run([str(rendered.manifest)]) == 1  # the same with the plan, in words
    shown = capsys.readouterr().out
    assert said in shown
    assert f"{rendered.title}: {stage}" in shown


def test_numbers_that_are_none_are_found(rendered: Rendered, capsys: pytest.CaptureFixture[str]) -> None:
    """Latents that their record vouches for: whoever committed them did not look."""
    record = only(rendered.output, "*/chain/*/chain/00000048.*.json")
    latents = {"latents": np.full((48, 1, 8, 8), np.nan, np.float16)}
    replace_object(rendered.output, record, "latents", pack(latents))
    _, title = checked(capsys, rendered.output)
    texts = [fault["found"] for fault in title["faults"] if (fault["stage"], fault["frame"]) == ("chain", 48)]
    assert any("holds NaN or infinite numbers (latents)" in text for text in texts)


def test_one_fault_is_not_told_of_healthy_gops(rendered: Rendered, capsys: pytest.CaptureFixture[str]) -> None:
    flip(only(rendered.output / rendered.title, f"{CHAIN}/objects/00000048-*-latents"))
    assert places(checked(capsys, rendered.output)[1]) == {("chain", 48)}


def test_first_gop_must_start_from_portrait_and_seed(rendered: Rendered, capsys: pytest.CaptureFixture[str]) -> None:
    """Only the plan knows the seed."""
    edit_record(only(rendered.output / rendered.title, f"{CHAIN}/00000000.0.json"), parent="0" * 64)
    code, title = checked(capsys, rendered.manifest)
    assert (code, places(title)) == (1, {("chain", 0), ("done", None)} & places(title) | {("chain", 0)})
    assert "conditioning and seed give" in title["faults"][0]["found"]


def test_remedy_works(rendered: Rendered, capsys: pytest.CaptureFixture[str]) -> None:
    """The marks that a fault asks for have the damage made good by the next run, and nothing else."""
    folder = rendered.output / rendered.title
    good = only(folder, f"{STREAM}/objects/00000048-*").read_bytes()
    flip(only(folder, f"{STREAM}/objects/00000048-*"))
    (fault,) = checked(capsys, rendered.output)[1]["faults"]
    marks = [word.rstrip(",") for word in fault["remedy"].split() if word.rstrip(",").endswith(".void")]
    assert len(marks) == 2
    for mark in marks:
        (rendered.output / mark).touch()
    assert rendered.render() == 0
    assert checked(capsys, rendered.manifest)[:1] == (0,)
    fields = json.loads(only(folder, f"{STREAM}/00000048.1.json").read_text())
    assert (rendered.output / fields["objects"]["fragment"]["key"]).read_bytes() == good
    assert len(list(folder.glob(f"{CHAIN}/*.json"))) == 3


def test_unfinished_is_no_fault(rendered: Rendered, capsys: pytest.CaptureFixture[str]) -> None:
    folder = rendered.output / rendered.title
    for pattern in ("stream/*/done/00000000.0.json", "final.mp4", f"{STREAM}/00000096.0.json"):
        only(folder, pattern).unlink()
    for pattern in ("hls/*/video.m3u8", "hls/*/audio.m3u8"):
        path = only(folder, pattern)
        lines = path.read_text().splitlines()
        path.write_text("\n".join(lines[: max(i for i, one in enumerate(lines) if one.startswith("#EXTINF"))]))
    code, title = checked(capsys, rendered.manifest)
    assert (code, title["faults"], title["finished"]) == (0, [], False)
    assert (title["chained"], title["upscaled"]) == (3, 2)
    assert verify.run([str(rendered.output)]) == 0
    assert "not finished (3 chained, 2 upscaled of 3 GOPs)" in capsys.readouterr().out


@pytest.mark.parametrize("keep", ["final", "final+hls"])
def test_what_was_not_kept_is_not_missed(
    fake_manifest: Callable[..., Path], capsys: pytest.CaptureFixture[str], keep: str
) -> None:
    manifest = fake_manifest([60], keep=keep)
    assert render_inline(manifest) == 0
    folder = manifest.parent / "out" / "title-0"
    assert not list(folder.glob(f"{CHAIN}/objects/*"))
    assert checked(capsys, manifest)[0] == checked(capsys, folder.parent)[0] == 0
    if keep == "final+hls":
        only(folder, f"{STREAM}/objects/00000048-*").unlink()
        assert ("stream", 48) in places(checked(capsys, manifest)[1])
    flip(folder / "final.mp4")
    code, title = checked(capsys, manifest)
    assert code == 1
    assert ("final", None) in places(title)


def test_two_plans_in_one_output(rendered: Rendered, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a plan, the older of two finished plans is whole though final.mp4 is the newer's; with it, it is not."""
    first = rendered.manifest.read_text()
    rendered.manifest.write_text(first.replace("resolution: 64", "resolution: 64\n  crf: 30"))
    assert rendered.render() == 0
    capsys.readouterr()
    assert verify.run([str(rendered.output), "--json"]) == 0
    titles = json.loads(capsys.readouterr().out)["titles"]
    assert sorted(len(title["notes"]) for title in titles) == [0, 2]  # hls and final.mp4 are the newer plan's
    assert checked(capsys, rendered.manifest)[0] == 0
    rendered.manifest.write_text(first)
    code, title = checked(capsys, rendered.manifest)
    assert (code, places(title)) == (1, {("final", None), ("hls", None)})


def test_times_of_fragments(finished: Rendered) -> None:
    folder = finished.output / finished.title
    init = only(folder, "stream/*/init.mp4").read_bytes()
    fragment = only(folder, f"{STREAM}/objects/00000048-*").read_bytes()
    times = sample_times(init, fragment)
    assert wrong_times(times, 48, 48) is None
    assert sorted(shown for _, shown in times) == [512 * frame for frame in range(48, 96)]
    assert "holds 48 pictures, expected 47" in str(wrong_times(times, 48, 47))
    assert "expected 0" in str(wrong_times(times, 0, 48))
    assert "do not rise" in str(wrong_times([times[1], times[0], *times[2:]], 48, 48))
    trun = payload(fragment, "moof", "traf", "trun")
    with pytest.raises(ValueError, match="claims"):
        sample_times(init, fragment.replace(trun[4:8], (2**31).to_bytes(4, "big"), 1))
    with pytest.raises(ValueError, match="tfdt"):
        sample_times(init, fragment.replace(b"tfdt", b"free"))


def test_bad_arguments(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert verify.run([str(tmp_path / "nowhere")]) == 2
    assert "no such file or folder" in capsys.readouterr().err
