"""How far a title is, and what its file shows: from records, and from how the newest run left it."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.core.errors import StoreError
from pipeline.core.pieces import count_shown
from pipeline.core.safe_text import redact
from pipeline.media.m3u8 import media_playlists, read_media_playlist
from pipeline.store.store import Store
from pipeline.titles import scan
from pipeline.titles.title_folders import TitleFolders, read_json

LONGEST_REASON = 2_000  # characters that are shown
MOST_RUNS = 200  # newest runs that are searched for a title's last end


@dataclass(frozen=True)
class Status:
    """`state`: not begun, preparing, rendering, done, failed, or damaged where its records cannot be read.

    Counts are GOPs. `file` says what `final.mp4` shows: current, another plan, unknown, or none if it is not there.
    """

    id: str
    state: str
    frames: int = 0
    gops: int = 0
    chained: int = 0
    upscaled: int = 0
    published: int = 0
    file: str = "none"
    stream: str = ""
    notes: tuple[str, ...] = ()
    kind: str = ""  # of the reason why the newest run left it, where that says so


@dataclass(frozen=True)
class _Counts:
    prepared: bool  # something of the preparation is committed
    chained: int
    upscaled: int
    done: bool


def status_of(
    store: Store, folders: TitleFolders, end: dict[str, object] | None, notes: tuple[str, ...] = ()
) -> Status:
    """Status of a title; `end` is how the newest run that knew it left it."""
    file, more = _file(store, folders)
    notes += more
    try:
        counts = _count_plan(store, folders) if folders.plan else _count(store, folders)
    except StoreError as error:
        why = f"{redact(str(error))}; `verify` says what to do"
        return Status(folders.title, "damaged", folders.frames, folders.gops, file=file, notes=(*notes, why))
    ended = (end or {}).get("state")
    if end and not counts.done and ended in ("failed", "paused"):
        notes += (f"last run {ended}: {_reason(end)}",)
    if counts.done:
        state = "done"
    elif ended == "failed":
        state = "failed"
    elif counts.chained or counts.upscaled:
        state = "rendering"
    else:
        state = "preparing" if counts.prepared else "not begun"
    return Status(
        id=folders.title,
        state=state,
        frames=folders.frames,
        gops=folders.gops,
        chained=counts.chained,
        upscaled=counts.upscaled,
        published=published(store, folders),
        file=file,
        stream=folders.stream_hash,
        notes=notes,
        kind=str(end.get("kind", "")) if end and not counts.done else "",
    )


def _count_plan(store: Store, folders: TitleFolders) -> _Counts:
    assert folders.plan is not None
    seen = scan.scan(store, folders.plan, mend=False)
    return _Counts(seen.sound or seen.conditioning or bool(seen.blocks), seen.chained, len(seen.streamed), seen.done)


def _count(store: Store, folders: TitleFolders) -> _Counts:
    """As a scan, of folders without a plan."""
    chain, stream, done = (folders.view(store, stage) for stage in ("chain", "stream", "done"))
    if done and done.read(0):
        return _Counts(True, folders.gops, folders.gops, True)
    if folders.scenes:
        parts = [(one.shown_gops, _count(store, one)) for one in folders.scenes]
        chained = sum(count_shown(shown, one.chained) for shown, one in parts)
        upscaled = sum(min(one.upscaled, count_shown(shown, shown[-1][1])) for shown, one in parts)
        return _Counts(True, chained, upscaled, False)
    latents = scan.linked(chain.records()) if chain else {}
    upscaled = sum(not scan.stale_uses(record.uses, latents) for record in stream.records()) if stream else 0
    return _Counts(folders.frames > 0, len(latents), upscaled, False)


def _file(store: Store, folders: TitleFolders) -> tuple[str, tuple[str, ...]]:
    """What `final.mp4` shows, by the stream hash that the report beside it names."""
    if not store.exists(f"{folders.title}/final.mp4"):
        return "none", ()
    hashes = (read_json(store, f"{folders.title}/report.json") or {}).get("hashes")
    made = hashes.get("stream") if isinstance(hashes, dict) else None
    if not isinstance(hashes, dict) or not isinstance(made, str):
        return "unknown", (f"{folders.title}/report.json does not say of which plan final.mp4 is",)
    if folders.plan and made == folders.plan.hashes.stream and hashes.get("file") != folders.plan.hashes.file:
        return "another plan", ("final.mp4 has other words or tags than this plan; rendering again writes them",)
    if folders.stream and made.startswith(folders.stream_hash):
        return "current", ()
    return "another plan", (f"final.mp4 is of stream {made[:16]}, not of this plan",)


def published(store: Store, folders: TitleFolders) -> int:
    """GOPs that every playlist of the stream lists."""
    if not folders.stream:
        return 0
    counts = []
    for key in media_playlists(store, folders.title, folders.stream_hash):
        try:
            counts.append(len(read_media_playlist(store.get(key).decode(), key).entries))
        except (StoreError, ValueError):
            return 0
    return min(counts, default=0)


def last_ends(store: Store) -> dict[str, dict[str, object]]:
    """How the newest run that knew a title left it; runs are named by their time."""
    ends: dict[str, dict[str, object]] = {}
    for key in sorted(store.list("_runs"), reverse=True)[:MOST_RUNS]:
        titles = (read_json(store, key) or {}).get("titles")
        for name, end in titles.items() if isinstance(titles, dict) else ():
            if isinstance(end, dict):
                ends.setdefault(name, end)
    return ends


def _reason(end: dict[str, object]) -> str:
    """Why a run left a title, on one line: the note lies where others may write."""
    text = redact(" ".join(str(end.get("reason"))[:LONGEST_REASON].split()))
    return f"{text}…" if len(str(end.get("reason"))) > LONGEST_REASON else text
