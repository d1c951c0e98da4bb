"""Checks of the finished file: the one that the done record names, with exact frames and times, and sound as long."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av

from pipeline.checks.title_check import MISSING, TitleCheck, check_object, local_copy
from pipeline.core.errors import LongtakeError
from pipeline.core.timeline import FPS
from pipeline.media.inspect_media import cues_in, inspect
from pipeline.provenance.credentials import read_credentials
from pipeline.store.record import Stored
from pipeline.store.store import Store
from pipeline.titles.title_folders import read_json
from pipeline.titles.views import reported

FRAME = Fraction(1, FPS)


def check_final(check: TitleCheck, store: Store, *, every_picture: bool = False) -> None:
    """`final.mp4` and its sidecars, of a title that is done."""
    done = check.done
    if done is None:
        return
    folders, stored = check.folders, done.objects.get("final")
    if stored is None:
        check.fault("done", None, "its record names no object final", check.remedy_of_views())
        return
    for frames in {done.frames, done.facts.get("frames")} - {folders.frames}:
        text = f"the done record says {frames} frames, expected {folders.frames}"
        check.fault("done", None, text, check.remedy_of_views())
    _check_digest(check)
    report = read_json(store, f"{folders.title}/report.json")
    hashes = report.get("hashes") if report else None
    made = hashes.get("stream") if isinstance(hashes, dict) else None
    if isinstance(made, str) and not made.startswith(folders.stream_hash):
        check.other_plan("final", f"{stored.key} is of stream {made[:16]}, not of {folders.stream_hash}")
        return
    if folders.plan and isinstance(hashes, dict) and hashes.get("file") != folders.plan.hashes.file:
        check.other_plan("final", f"{stored.key} has other words or tags than this plan")
        return
    for _, one in sorted(done.objects.items()):
        wrong = check_object(check, store, one)
        if wrong == MISSING and done.facts.get("delivered"):
            check.notes.append(f"{one.key} was taken away on purpose")
        elif wrong:
            check.fault("final", None, f"{one.key} {wrong}", check.remedy_of_views())
        else:
            with local_copy(store, one.key) as path:
                _check_file(check, path, every_picture, signed="credentials" in (report or {}))
    _check_sidecars(check, store, stored, made)
    for view in reported(report or {}, streamed="stream" not in check.dropped):
        if wrong := check_object(check, store, view):
            check.fault("views", None, f"{view.key} {wrong}", check.remedy_of_views())


def _check_digest(check: TitleCheck) -> None:
    """The records must be those that the file was made of. Said only where no fault explains it already."""
    if check.faults or check.done is None or min(check.chained, check.upscaled) == 0:
        return
    if check.records.read() != check.done.facts.get("records"):
        text = "the chain's and the stream's records are not those that the file was made of"
        check.fault("done", None, text, check.remedy_of_views())


def _check_sidecars(check: TitleCheck, store: Store, stored: Stored, made: str | None) -> None:
    title = check.folders.title
    if made is None:
        text = f"{title}/report.json is missing or does not name the plan's hashes"
        check.fault("final", None, text, check.remedy_of_views())
    sidecar = read_json(store, f"{title}/provenance.json")
    file = sidecar.get("file") if sidecar else None
    named = file.get("sha256") if isinstance(file, dict) else None
    if named != stored.sha256:
        text = f"{title}/provenance.json names file {str(named)[:12]}…, expected {stored.sha256[:12]}…"
        check.fault("final", None, text, check.remedy_of_views())


def _missing_words(check: TitleCheck, path: Path) -> Iterator[str]:
    """Chapters and captions are there, as many as were written."""
    wanted = check.done.facts if check.done else {}
    with av.open(str(path)) as container:
        found = {"chapters": len(container.chapters()), "cues": sum(1 for _ in cues_in(container))}
    for name, count in found.items():
        if name in wanted and wanted[name] != count:
            yield f"it holds {count} {name}, expected {wanted[name]}"


def _check_file(check: TitleCheck, path: Path, every_picture: bool, *, signed: bool) -> None:
    frames = check.folders.frames
    try:
        facts = inspect(path, "all" if every_picture else "borders")
    except LongtakeError as error:
        check.fault("final", None, str(error), check.remedy_of_views())
        return
    check.pictures += facts.decoded
    wrong = [*facts.faults, *_missing_words(check, path)]
    if facts.frames != frames:
        wrong.append(f"it holds {facts.frames} frames, expected {frames}")
    for name, seconds in (("video", facts.video_seconds), ("sound", facts.audio_seconds)):
        if abs(seconds - frames * FRAME) > FRAME:
            wrong.append(f"its {name} lasts {float(seconds):.3f} s, expected {float(frames * FRAME):.3f} s")
    if signed:
        credentials = read_credentials(path)
        if credentials.state == "none":
            wrong.append("it holds no content credentials, and its report says that it does")
        elif not credentials.good:
            wrong.append(f"its content credentials are invalid: {'; '.join(credentials.faults)}")
        elif credentials.expired:
            check.notes.append(f"{path.name}: its signer's certificate was valid when it signed, and has expired since")
    for text in wrong:
        check.fault("final", None, f"{path.name}: {text}", check.remedy_of_views())
