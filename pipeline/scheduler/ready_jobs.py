"""Which jobs of a title could start now. Pure functions of what is committed and of what is in hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pipeline.scheduler.title_state import TitleState
from pipeline.scheduler.work import Job, Kind

Unit = tuple[str, Kind, int]
UnitTest = Callable[[Unit], bool]

PLAYLIST_EVERY = 5.0  # seconds between two playlists of a title, at least
# … and for every GOP that it lists: a playlist is written whole, so what all of them hold together would grow with the
# square of the length. At ten hours there is one every six minutes.
PLAYLIST_EVERY_LISTED = 0.02


def units_of(job: Job) -> list[Unit]:
    """The units that a job holds; a playlist or finished file is one, whatever it shows."""
    if job.kind in ("playlist", "finish"):
        return [(job.title, job.kind, 0)]
    return [(job.title, job.kind, job.first + k) for k in range(job.count)]


def prepare_jobs(title: TitleState, free: UnitTest) -> Iterator[Job]:
    name, visit = title.work.id, title.visit
    if not title.sound and free((name, "sound", 0)):
        yield Job(name, "sound", visit=visit)
    if title.work.in_scenes:
        return
    if not title.conditioning and free((name, "conditioning", 0)):
        yield Job(name, "conditioning", visit=visit)
    if title.sound and not title.prepared:
        for block in range(title.block_prefix, title.work.blocks_needed):
            if block not in title.blocks and free((name, "features", block)):
                yield Job(name, "features", block, visit=visit)


def chain_jobs(title: TitleState, free: UnitTest) -> Iterator[Job]:
    """The next GOP, and never another: a chain is strictly sequential."""
    if title.work.in_scenes:
        return
    unit: Unit = (title.work.id, "chain", title.chained)
    if title.conditioning and title.chained < title.work.gops and title.heard() and free(unit):
        yield Job(title.work.id, "chain", title.chained, visit=title.visit)


def upscale_jobs(title: TitleState, free: UnitTest, alone: UnitTest, most: int) -> Iterator[Job]:
    """Runs of at most `most` GOPs that are chained and not upscaled, cut at segment borders."""
    name, segment = title.work.id, title.work.segment
    if title.work.in_scenes:
        for gop in sorted(title.joinable):
            if not title.is_committed("upscale", gop) and free((name, "upscale", gop)):
                yield Job(name, "upscale", gop, visit=title.visit)
        return
    run: list[int] = []
    for gop in range(title.streamed, title.chained):
        if gop in title.beyond or not free((name, "upscale", gop)):
            continue
        together = (
            run
            and gop == run[-1] + 1
            and gop % segment
            and len(run) < most
            and not alone((name, "upscale", run[0]))
            and not alone((name, "upscale", gop))
        )
        if run and not together:
            yield Job(name, "upscale", run[0], len(run), title.visit)
            run = []
        run.append(gop)
    if run:
        yield Job(name, "upscale", run[0], len(run), title.visit)


def playlist_due(title: TitleState) -> float:
    """When the next playlist may be written."""
    return title.listed_at + max(PLAYLIST_EVERY, PLAYLIST_EVERY_LISTED * title.listed)


def publish_jobs(title: TitleState, free: UnitTest, now: float) -> Iterator[Job]:
    """The finished file once everything is there, until then a playlist from time to time; never both at once."""
    name = title.work.id
    if title.work.film or not title.sound or not (free((name, "playlist", 0)) and free((name, "finish", 0))):
        return
    if title.streamed == title.work.gops:
        yield Job(name, "finish", 0, title.work.gops, title.visit)
    elif title.streamed > title.listed and now >= playlist_due(title):
        yield Job(name, "playlist", 0, title.streamed, title.visit)
