"""Checks of the finished file: the one that the done record names, with exact frames and times, and sound as long."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av

from pipeline.checks.findings import MISSING, Findings, check_object, local_copy
from pipeline.core.errors import LongtakeError
from pipeline.core.timeline import FPS
from pipeline.media.inspect_media import cues_in, inspect
from pipeline.provenance.credentials import read_credentials
from pipeline.store.record import Stored
from pipeline.store.store import Store
from pipeline.titles.found import read_json
from pipeline.titles.views import reported

FRAME = Fraction(1, FPS)


def check_final(findings: Findings, store: Store, *, every_picture: bool = False) -> None:
    """`final.mp4` and its sidecars, of a title that is done."""
    done = findings.done
    if done is None:
        return
    found, stored = findings.found, done.objects.get("final")
    if stored is None:
        findings.fault("done", None, "its record names no object final", findings.remedy_of_views())
        return
    for frames in {done.frames, done.facts.get("frames")} - {found.frames}:
        text = f"the done record says {frames} frames, expected {found.frames}"
        findings.fault("done", None, text, findings.remedy_of_views())
    _check_digest(findings)
    report = read_json(store, f"{found.title}/report.json")
    hashes = report.get("hashes") if report else None
    made = hashes.get("stream") if isinstance(hashes, dict) else None
    if isinstance(made, str) and not made.startswith(found.stream_hash):
        findings.other_plan("final", f"{stored.key} is of stream {made[:16]}, not of {found.stream_hash}")
        return
    if found.plan and isinstance(hashes, dict) and hashes.get("file") != found.plan.hashes.file:
        findings.other_plan("final", f"{stored.key} has other words or tags than this plan")
        return
    for _, one in sorted(done.objects.items()):
        wrong = check_object(findings, store, one)
        if wrong == MISSING and done.facts.get("delivered"):
            findings.notes.append(f"{one.key} was taken away on purpose")
        elif wrong:
            findings.fault("final", None, f"{one.key} {wrong}", findings.remedy_of_views())
        else:
            with local_copy(store, one.key) as path:
                _check_file(findings, path, every_picture, signed="credentials" in (report or {}))
    _check_sidecars(findings, store, stored, made)
    for view in reported(report or {}, streamed="stream" not in findings.dropped):
        if wrong := check_object(findings, store, view):
            findings.fault("views", None, f"{view.key} {wrong}", findings.remedy_of_views())


def _check_digest(findings: Findings) -> None:
    """The records must be those that the file was made of. Said only where no fault explains it already."""
    if findings.faults or findings.done is None or min(findings.chained, findings.upscaled) == 0:
        return
    if findings.records.read() != findings.done.facts.get("records"):
        text = "the chain's and the stream's records are not those that the file was made of"
        findings.fault("done", None, text, findings.remedy_of_views())


def _check_sidecars(findings: Findings, store: Store, stored: Stored, made: str | None) -> None:
    title = findings.found.title
    if made is None:
        text = f"{title}/report.json is missing or does not name the plan's hashes"
        findings.fault("final", None, text, findings.remedy_of_views())
    sidecar = read_json(store, f"{title}/provenance.json")
    file = sidecar.get("file") if sidecar else None
    named = file.get("sha256") if isinstance(file, dict) else None
    if named != stored.sha256:
        text = f"{title}/provenance.json names file {str(named)[:12]}…, expected {stored.sha256[:12]}…"
        findings.fault("final", None, text, findings.remedy_of_views())


def _missing_words(findings: Findings, path: Path) -> Iterator[str]:
    """Chapters and captions are there, as many as were written."""
    wanted = findings.done.facts if findings.done else {}
    with av.open(str(path)) as container:
        found = {"chapters": len(container.chapters()), "cues": sum(1 for _ in cues_in(container))}
    for name, count in found.items():
        if name in wanted and wanted[name] != count:
            yield f"it holds {count} {name}, expected {wanted[name]}"


def _check_file(findings: Findings, path: Path, every_picture: bool, *, signed: bool) -> None:
    frames = findings.found.frames
    try:
        facts = inspect(path, "all" if every_picture else "borders")
    except LongtakeError as error:
        findings.fault("final", None, str(error), findings.remedy_of_views())
        return
    findings.pictures += facts.decoded
    wrong = [*facts.faults, *_missing_words(findings, path)]
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
            findings.notes.append(
                f"{path.name}: its signer's certificate was valid when it signed, and has expired since"
            )
    for text in wrong:
        findings.fault("final", None, f"{path.name}: {text}", findings.remedy_of_views())
