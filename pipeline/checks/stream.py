"""Checks of the encoded fragments: made of the chain's latents, one header, exact times, pictures that decode."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice, pairwise

from pipeline.checks.title_check import MISSING, ObjectCheck, TitleCheck, Unreadable, check_objects, look_at, told
from pipeline.core.errors import DamagedObject, MissingObject, StoreError
from pipeline.core.parallel import parallel_map
from pipeline.core.pieces import pieces
from pipeline.core.timeline import GOP, VIDEO_TIMESCALE, gop_range
from pipeline.media.encode import decode_frames
from pipeline.media.fragments import sample_times
from pipeline.store.digests import sha256
from pipeline.store.ledger import Ledger
from pipeline.store.record import Record
from pipeline.store.stage_view import StageView
from pipeline.store.store import Store
from pipeline.titles.title_folders import readable

TICKS = VIDEO_TIMESCALE // 25  # of a frame
_CHAINS = 64  # chain records held while neighbouring fragments are checked


def check_stream(check: TitleCheck, store: Store, *, every_picture: bool = False) -> int:
    """GOPs with a fragment, without a gap from the first. Raises nothing for faults of the title."""
    folders = check.folders
    view = folders.view(store, "stream", checkpoints=False)
    if view is None:
        return 0
    ledger, looking = view.ledger, _Looking(store, _init(check, view), every_picture)
    latents = _latents(check, store)
    shown = dict.fromkeys(gop * GOP for first, stop in folders.shown_gops for gop in range(first, stop))
    # What a scene holds and the film does not show is nobody's concern; what lies beyond the end is told.
    there = [first for first in view.firsts if first in shown or first >= folders.frames]
    firsts = list(shown) if check.done else there
    pictures: set[str] = set()
    prefix = 0
    for first, at, looked, seen in parallel_map(looking.look, view.each(firsts)):
        try:
            record = told(check, ledger, "stream", first, at)
        except Unreadable:
            continue
        if record is None:
            if check.done and "stream" not in check.dropped:
                text = "its record is missing, though the title is done"
                check.fault("stream", first, text, check.remedy(ledger, first))
            continue
        if first == prefix * GOP:
            prefix += 1
            list(check.records.hear([record]))
        for one in looked:
            if one.wrong != MISSING:
                check.fragments.setdefault(one.name, {})[first // GOP] = one.stored.key
        _check_record(check, ledger, record, latents)
        if check.film and "fragment" in record.objects:
            check.made[first // GOP] = record.objects["fragment"].sha256
        if check.folders.scenes:
            _check_scene(check, store, ledger, record)
        picture = record.facts.get("picture")
        if isinstance(picture, str) and picture not in pictures:
            pictures.add(picture)
            _check_picture(check, ledger, record, len(pictures))
        if not check_objects(check, ledger, record, looked) or looking.init is None:
            continue
        remedy = check.remedy(ledger, first, record.generation)
        for suffix in (one.name.removeprefix("fragment") for one in looked if one.name.startswith("fragment")):
            header = looking.init if not suffix else looking.inits.setdefault(suffix, _init(check, view, suffix))
            if header is None:
                continue
            if sha256(header) != record.facts.get(f"init{suffix}"):
                text = f"it was encoded for another header than {_init_key(check, suffix)}"
                check.fault("stream", first, text, remedy)
            elif media := seen.get(suffix):
                check.pictures += media.pictures
                if media.wrong:
                    check.fault("stream", first, media.wrong, remedy)
    return prefix


@dataclass(frozen=True)
class _Seen:
    """What decoding a fragment showed."""

    pictures: int
    wrong: str | None


class _Looking:
    """Reads records' objects and decodes them, beside others: nothing is told from here."""

    def __init__(self, store: Store, init: bytes | None, every_picture: bool):
        self._store, self._every = store, every_picture
        self.init = init
        self.inits: dict[str, bytes | None] = {}

    def look(
        self, one: tuple[int, Record | StoreError | None]
    ) -> tuple[int, Record | StoreError | None, list[ObjectCheck], dict[str, _Seen]]:
        first, record = one
        if not isinstance(record, Record):
            return first, record, [], {}
        looked = look_at(self._store, record, keep=True)
        seen = {}
        for fragment in looked:
            suffix = fragment.name.removeprefix("fragment")
            # Headers of renditions are read when their first fragment comes; those before it are looked at as well.
            header = self.init if not suffix else self._header(record, suffix)
            fits = header is not None and sha256(header) == record.facts.get(f"init{suffix}")
            if fragment.wrong is None and header is not None and fits and fragment.name.startswith("fragment"):
                seen[suffix] = self._decoded(record, header, fragment.data)
        return first, record, [replace(fragment, data=b"") for fragment in looked], seen

    def _header(self, record: Record, suffix: str) -> bytes | None:
        if suffix not in self.inits:
            folder = record.objects[f"fragment{suffix}"].key.split("/stream/objects/")[0]
            try:
                return self._store.get(f"{folder}/init{suffix}.mp4")
            except StoreError:
                return None
        return self.inits[suffix]

    def _decoded(self, record: Record, header: bytes, data: bytes) -> _Seen:
        """Times of all packets, and the pictures: that at the GOP's border, or every one."""
        try:
            wrong = wrong_times(sample_times(header, data), record.first, record.frames)
            count = sum(1 for _ in islice(decode_frames(header, [data]), None if self._every else 1))
        except (DamagedObject, ValueError) as error:
            return _Seen(0, str(error))
        if self._every and count != record.frames:
            wrong = wrong or f"it decodes to {count} pictures, expected {record.frames}"
        return _Seen(count, wrong or (None if count else "no picture can be decoded"))


def _init_key(check: TitleCheck, suffix: str = "") -> str:
    return f"{check.folders.stream}/init{suffix}.mp4"


def _init(check: TitleCheck, view: StageView, suffix: str = "") -> bytes | None:
    key = _init_key(check, suffix)
    try:
        return view.store.get(key)
    except MissingObject:
        if "stream" not in check.dropped and view.firsts:
            text = f"{key} is missing, without which no fragment can be decoded"
            check.fault("stream", None, text, "render again: it is written again")
        return None


def _latents(check: TitleCheck, store: Store) -> Callable[[int], str | None]:
    """sha256 of the latents that the chain holds at a frame; asked for in rising order, and again for neighbours."""
    view = check.folders.view(store, "chain", checkpoints=False)
    held: dict[int, str | None] = {}
    last = -1
    # What cannot be read is told by the check of the chain.
    coming = view.each(view.firsts) if view else iter(())

    def at(first: int) -> str | None:
        nonlocal last
        while last < first and (one := next(coming, None)) is not None:
            last, record = one
            held[last] = (
                record.objects["latents"].sha256 if isinstance(record, Record) and "latents" in record.objects else None
            )
            while len(held) > _CHAINS:
                held.pop(next(iter(held)))
        return held.get(first)

    return at


def _check_record(check: TitleCheck, ledger: Ledger, record: Record, latents: Callable[[int], str | None]) -> None:
    first, frames = record.first, check.folders.frames
    remedy = check.remedy(ledger, first, record.generation)
    start, stop = gop_range(first // GOP, frames) if first < frames and first % GOP == 0 else (0, 0)
    if (first, record.frames) != (start, stop - start):
        expected = f"expected {stop - start} from {start}"
        check.fault("stream", first, f"its record covers {record.frames} frames from {first}, {expected}", remedy)
    for name, digest in record.uses.items():
        kind, _, number = name.partition("/")
        if kind != "latents":
            continue
        there = latents(int(number))
        if there != digest and not (there is None and "chain" in check.dropped):
            holds = f"{there[:12]}…" if there else "none"
            text = f"it was made of {name} with sha256 {digest[:12]}…, the chain holds {holds}"
            check.fault("stream", first, text, remedy)


def _check_scene(check: TitleCheck, store: Store, ledger: Ledger, record: Record) -> None:
    """A title's fragment is that of its scene, moved to its place; or a join, made of the latents of two."""
    if any(name.startswith("ending/") for name in record.uses):
        _check_join(check, store, ledger, record)
        return
    digest, made_of = next(iter(record.uses.values()), ""), check.made_of.get(record.first // GOP)
    if made_of is not None and digest != made_of:
        text = f"it was made of a fragment with sha256 {digest[:12]}…, its scene holds {made_of[:12]}…"
        check.fault("stream", record.first, text, check.remedy(ledger, record.first, record.generation))


def _check_join(check: TitleCheck, store: Store, ledger: Ledger, record: Record) -> None:
    scenes, gop = check.folders.scenes, record.first // GOP
    around = [pair for pair in pairwise(pieces(one.shown for one in scenes)) if pair[0].stop == gop + 1]
    chains = {
        word: scenes[piece.scene].ledger(store, "chain")
        for pair in around
        for word, piece in zip(("ending", "beginning"), pair, strict=True)
    }
    for name, digest in record.uses.items():
        word, _, first = name.partition("/")
        made = readable(chains.get(word), int(first))
        holds = made.objects["latents"].sha256 if made and "latents" in made.objects else "none"
        if digest != holds:
            text = f"it was made of {name} with sha256 {digest[:12]}…, the scene's chain holds {holds[:12]}…"
            check.fault("stream", record.first, text, check.remedy(ledger, record.first, record.generation))


def _check_picture(check: TitleCheck, ledger: Ledger, record: Record, number: int) -> None:
    plan, picture = check.folders.plan, str(record.facts.get("picture"))
    if plan and picture != plan.hashes.picture:
        text = f"it names picture {picture[:12]}…, the plan's is {plan.hashes.picture[:12]}…"
    elif number > 1:
        text = f"it names picture {picture[:12]}…, fragments before it another"
    else:
        return
    check.fault("stream", record.first, text, check.remedy(ledger, record.first, record.generation))


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
