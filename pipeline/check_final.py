"""Checks of the finished file: the one that the done record names, with exact frames and times, and sound as long."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import av.error
from av.container import InputContainer

from pipeline.encode import strict
from pipeline.errors import DamagedObject
from pipeline.findings import Findings, check_object, local_copy
from pipeline.found import read_json
from pipeline.records import Record
from pipeline.store import Store
from pipeline.timeline import FPS, GOP, gops_of

FRAME = Fraction(1, FPS)


def check_final(findings: Findings, store: Store, *, every_picture: bool = False) -> None:
    """`final.mp4` and its sidecars, of a title that is done."""
    done = findings.done
    if done is None:
        return
    found, stored = findings.found, done.objects["final"]
    for frames in {done.frames, done.facts.get("frames")} - {found.frames}:
        text = f"the done record says {frames} frames, expected {found.frames}"
        findings.fault("done", None, text, findings.remedy_of_views())
    report = read_json(store, f"{found.title}/report.json")
    hashes = report.get("hashes") if report else None
    made = hashes.get("stream") if isinstance(hashes, dict) else None
    if isinstance(made, str) and not made.startswith(found.stream_hash):
        findings.other_plan("final", f"{stored.key} is of stream {made[:16]}, not of {found.stream_hash}")
        return
    if wrong := check_object(findings, store, stored):
        findings.fault("final", None, f"{stored.key} {wrong}", findings.remedy_of_views())
    else:
        with local_copy(store, stored.key) as path:
            _check_file(findings, path, every_picture)
    _check_sidecars(findings, store, done, made)


def _check_sidecars(findings: Findings, store: Store, done: Record, made: str | None) -> None:
    title = findings.found.title
    if made is None:
        text = f"{title}/report.json is missing or does not name the plan's hashes"
        findings.fault("final", None, text, findings.remedy_of_views())
    sidecar = read_json(store, f"{title}/provenance.json")
    file = sidecar.get("file") if sidecar else None
    named = file.get("sha256") if isinstance(file, dict) else None
    if named != done.objects["final"].sha256:
        text = f"{title}/provenance.json names file {str(named)[:12]}…, expected {done.objects['final'].sha256[:12]}…"
        findings.fault("final", None, text, findings.remedy_of_views())


def _check_file(findings: Findings, path: Path, every_picture: bool) -> None:
    frames = findings.found.frames
    try:
        facts = read_file(path, every_picture)
    except DamagedObject as error:
        findings.fault("final", None, str(error), findings.remedy_of_views())
        return
    findings.pictures += facts.decoded
    wrong = list(facts.wrong)
    if facts.frames != frames:
        wrong.append((None, f"it holds {facts.frames} frames, expected {frames}"))
    length = frames * FRAME
    for name, seconds in (("video", facts.video), ("sound", facts.sound)):
        if abs(seconds - length) > FRAME:
            wrong.append((None, f"its {name} lasts {float(seconds):.3f} s, expected {float(length):.3f} s"))
    for frame, text in wrong:
        findings.fault("final", frame, f"final.mp4: {text}", findings.remedy_of_views())


@dataclass(frozen=True)
class FileFacts:
    """What a finished file holds; lengths in seconds; `wrong`: (frame, what is wrong)."""

    frames: int
    video: Fraction
    sound: Fraction
    decoded: int
    wrong: tuple[tuple[int | None, str], ...]


def read_file(path: Path, every_picture: bool = False) -> FileFacts:
    """Read all packets of a finished file, and decode its pictures: the first of every GOP, or all.

    Raises DamagedObject where that is impossible.
    """
    wrong: list[tuple[int | None, str]] = []
    try:
        with av.open(str(path), "r") as container:
            frames, keys, video, sound = _packets(container, wrong)
        with av.open(str(path), "r") as container:
            strict(container.streams.video[0].codec_context)
            decoded = _decode_all(container, wrong) if every_picture else _decode(container, keys, wrong)
    except (av.error.FFmpegError, IndexError) as error:
        raise DamagedObject(f"final.mp4 cannot be read ({error})") from None
    if len(keys) != gops_of(frames):
        wrong.append((None, f"it has {len(keys)} key frames, expected {gops_of(frames)}, one a GOP"))
    if every_picture and decoded != frames:
        wrong.append((None, f"{decoded} of its {frames} pictures can be decoded"))
    return FileFacts(frames, video, sound, decoded, tuple(wrong))


def _packets(
    container: InputContainer, wrong: list[tuple[int | None, str]]
) -> tuple[int, list[int], Fraction, Fraction]:
    """Frames, ticks of the key frames, and the ends of video and sound in seconds; all in one pass."""
    video, sound = container.streams.video[0], container.streams.audio[0]
    video_base, sound_base = video.time_base or FRAME, sound.time_base or FRAME
    keys: list[int] = []
    shown: list[int] = []  # times of the GOP in hand
    frames, last, sound_end = 0, None, Fraction(0)
    sound_start: Fraction | None = None
    for packet in container.demux((video, sound)):
        if not packet.size or packet.pts is None or packet.dts is None:
            continue
        if packet.stream is sound:
            sound_start = packet.pts * sound_base if sound_start is None else sound_start
            sound_end = max(sound_end, (packet.pts + (packet.duration or 0)) * sound_base)
            continue
        if last is not None and packet.dts <= last:
            wrong.append((frames, f"its decode time {packet.dts} follows {last}: times must rise"))
        if packet.is_keyframe:
            _check_times(frames - len(shown), shown, video_base, wrong)
            shown = []
            keys.append(packet.pts)
        shown.append(packet.pts)
        frames, last = frames + 1, packet.dts
    _check_times(frames - len(shown), shown, video_base, wrong)
    if sound_start is None or abs(sound_start) > FRAME:
        wrong.append((None, "its sound does not begin with the video"))
    return frames, keys, frames * FRAME, sound_end


def _check_times(first: int, shown: list[int], base: Fraction, wrong: list[tuple[int | None, str]]) -> None:
    """Frame k must be shown at k/25 s."""
    for frame, ticks in enumerate(sorted(shown), first):
        if ticks * base != frame * FRAME:
            wrong.append(
                (frame, f"its frame is shown at {float(ticks * base):.4f} s, expected {float(frame * FRAME):.4f}")
            )
            return


def _decode(container: InputContainer, keys: list[int], wrong: list[tuple[int | None, str]]) -> int:
    """Decode the first picture of every GOP, from a fresh start each; returns how many."""
    video = container.streams.video[0]
    for number, ticks in enumerate(keys):
        container.seek(ticks, stream=video)
        picture = next(container.decode(video), None)
        if picture is None or picture.pts != ticks or picture.is_corrupt:
            wrong.append((number * GOP, "the first picture of its GOP cannot be decoded"))
    return len(keys)


def _decode_all(container: InputContainer, wrong: list[tuple[int | None, str]]) -> int:
    video = container.streams.video[0]
    container.seek(0, stream=video)
    count = 0
    for picture in container.decode(video):
        if picture.is_corrupt:
            wrong.append((count, "its picture is damaged"))
        count += 1
    return count
