"""Checks of the encoded fragments: made of the chain's latents, one header, exact times, pictures that decode."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice, pairwise

from pipeline.checks.findings import Findings, Unreadable, check_objects, read_record
from pipeline.core.errors import DamagedObject, MissingObject, StoreError
from pipeline.core.timeline import GOP, VIDEO_TIMESCALE, gop_range
from pipeline.media.encode import decode_frames
from pipeline.media.fragments import sample_times
from pipeline.store.digests import sha256
from pipeline.store.ledger import Ledger
from pipeline.store.record import Record
from pipeline.store.store import Store
from pipeline.titles.found import readable

TICKS = VIDEO_TIMESCALE // 25  # of a frame
_CHAINS = 4  # chain records held while neighbouring fragments are checked


def check_stream(findings: Findings, store: Store, *, every_picture: bool = False) -> int:
    """GOPs with a fragment, without a gap from the first. Raises nothing for faults of the title."""
    found = findings.found
    ledger = found.ledger(store, "stream")
    if ledger is None:
        return 0
    init, inits = _init(findings, store), dict[str, bytes | None]()
    latents = _latents(findings, store)
    firsts = range(0, found.frames, GOP) if findings.done else ledger.hinted()
    pictures: set[str] = set()
    prefix = 0
    for first in firsts:
        try:
            record = read_record(findings, ledger, "stream", first)
        except Unreadable:
            continue
        if record is None:
            if findings.done and "stream" not in findings.dropped:
                text = "its record is missing, though the title is done"
                findings.fault("stream", first, text, findings.remedy(ledger, first))
            continue
        prefix += first == prefix * GOP
        _check_record(findings, ledger, record, latents)
        picture = record.facts.get("picture")
        if isinstance(picture, str) and picture not in pictures:
            pictures.add(picture)
            _check_picture(findings, ledger, record, len(pictures))
        if not check_objects(findings, ledger, record) or init is None:
            continue
        for suffix in (name.removeprefix("fragment") for name in record.objects if name.startswith("fragment")):
            header = init if not suffix else inits.setdefault(suffix, _init(findings, store, suffix))
            if header is None:
                continue
            if sha256(header) != record.facts.get(f"init{suffix}"):
                text = f"it was encoded for another header than {_init_key(findings, suffix)}"
                findings.fault("stream", first, text, findings.remedy(ledger, first, record.generation))
            else:
                _check_media(findings, ledger, record, header, every_picture, f"fragment{suffix}")
    return prefix


def _init_key(findings: Findings, suffix: str = "") -> str:
    return f"{findings.found.stream}/init{suffix}.mp4"


def _init(findings: Findings, store: Store, suffix: str = "") -> bytes | None:
    key = _init_key(findings, suffix)
    try:
        return store.get(key)
    except MissingObject:
        ledger = findings.found.ledger(store, "stream")
        if "stream" not in findings.dropped and ledger and ledger.hinted():
            text = f"{key} is missing, without which no fragment can be decoded"
            findings.fault("stream", None, text, "restore it from a backup, or render under another crf")
        return None


def _latents(findings: Findings, store: Store) -> Callable[[int], str | None]:
    """sha256 of the latents that the chain holds at a frame, read once for neighbouring fragments."""
    ledger = findings.found.ledger(store, "chain")
    held: dict[int, str | None] = {}

    def at(first: int) -> str | None:
        if first not in held:
            while len(held) >= _CHAINS:
                held.pop(next(iter(held)))
            record = readable(ledger, first)  # what cannot be read is told by the check of the chain
            held[first] = record.objects["latents"].sha256 if record and "latents" in record.objects else None
        return held[first]

    return at


def _check_record(findings: Findings, ledger: Ledger, record: Record, latents: Callable[[int], str | None]) -> None:
    first, frames = record.first, findings.found.frames
    remedy = findings.remedy(ledger, first, record.generation)
    start, stop = gop_range(first // GOP, frames) if first < frames and first % GOP == 0 else (0, 0)
    if (first, record.frames) != (start, stop - start):
        expected = f"expected {stop - start} from {start}"
        findings.fault("stream", first, f"its record covers {record.frames} frames from {first}, {expected}", remedy)
    for name, digest in record.uses.items():
        kind, _, number = name.partition("/")
        if kind != "latents":
            continue
        there = latents(int(number))
        if there != digest and not (there is None and "chain" in findings.dropped):
            holds = f"{there[:12]}…" if there else "none"
            text = f"it was made of {name} with sha256 {digest[:12]}…, the chain holds {holds}"
            findings.fault("stream", first, text, remedy)


def _check_picture(findings: Findings, ledger: Ledger, record: Record, number: int) -> None:
    plan, picture = findings.found.plan, str(record.facts.get("picture"))
    if plan and picture != plan.hashes.picture:
        text = f"it names picture {picture[:12]}…, the plan's is {plan.hashes.picture[:12]}…"
    elif number > 1:
        text = f"it names picture {picture[:12]}…, fragments before it another"
    else:
        return
    findings.fault("stream", record.first, text, findings.remedy(ledger, record.first, record.generation))


def _check_media(
    findings: Findings, ledger: Ledger, record: Record, init: bytes, every_picture: bool, name: str
) -> None:
    """Times of all packets, and the pictures: that at the GOP's border, or every one."""
    try:
        data = ledger.store.get(record.objects[name].key)
    except StoreError:
        return  # told before, or allowed to be gone
    remedy = findings.remedy(ledger, record.first, record.generation)
    try:
        wrong = wrong_times(sample_times(init, data), record.first, record.frames)
        count = sum(1 for _ in islice(decode_frames(init, [data]), None if every_picture else 1))
    except (DamagedObject, ValueError) as error:
        findings.fault("stream", record.first, str(error), remedy)
        return
    findings.pictures += count
    if every_picture and count != record.frames:
        wrong = wrong or f"it decodes to {count} pictures, expected {record.frames}"
    if wrong or not count:
        findings.fault("stream", record.first, wrong or "no picture can be decoded", remedy)


def wrong_times(times: list[tuple[int, int]], first: int, frames: int) -> str | None:
    """What is wrong with the (decode time, time shown) of a fragment that begins at frame `first`."""
    if len(times) != frames:
        return f"its fragment holds {len(times)} pictures, expected {frames}"
    shown = sorted(time for _, time in times)
    for frame, ticks in enumerate(shown, first):
        if ticks != TICKS * frame:
            return f"its picture {frame} is shown at tick {ticks}, expected {TICKS * frame}"
    if times[0][0] != TICKS * first or any(b <= a for (a, _), (b, _) in pairwise(times)):
        return f"its decode times do not rise from {TICKS * first}"
    return None
