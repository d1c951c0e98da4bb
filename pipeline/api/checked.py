"""How far titles are, and whether everything is there: from what an output holds. Nothing is written."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.checks.final import check_final
from pipeline.checks.findings import Fault, Findings, Unreadable, read_record
from pipeline.checks.playlists import check_playlists
from pipeline.checks.records import check_chain, check_preparation
from pipeline.checks.status_of import Status, last_ends, status_of
from pipeline.checks.stream import check_stream
from pipeline.core.side_by_side import side_by_side
from pipeline.intake.selection import select_titles
from pipeline.intake.target import Target, open_target
from pipeline.manifest.catalog import Catalog
from pipeline.store.opening import open_store
from pipeline.store.store import Store
from pipeline.titles.found import Found

TITLES = 4  # that are looked at side by side

Where = Target | Catalog | str | os.PathLike[str]


@dataclass(frozen=True)
class Statuses:
    """`titles`: of a manifest one each; of an output one for each picture stream or chain that was begun."""

    output: str
    titles: tuple[Status, ...]


@dataclass(frozen=True)
class TitleCheck:
    """What `verify` found of a title. `kept`: what the finished title kept of its intermediates; None if not finished.

    `chained` and `upscaled` are GOPs without a gap. `more_faults`: beyond those that are listed.
    """

    id: str
    stream: str
    kept: str | None
    frames: int
    gops: int
    chained: int
    upscaled: int
    objects: int
    bytes: int
    pictures: int
    notes: tuple[str, ...]
    faults: tuple[Fault, ...]
    more_faults: int

    @property
    def finished(self) -> bool:
        return self.kept is not None

    @property
    def fault_count(self) -> int:
        return len(self.faults) + self.more_faults

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "stream": self.stream,
            "finished": self.finished,
            "frames": self.frames,
            "gops": self.gops,
            "chained": self.chained,
            "upscaled": self.upscaled,
            "checked": {"objects": self.objects, "bytes": self.bytes, "pictures": self.pictures},
            "notes": list(self.notes),
            "faults": [asdict(fault) for fault in self.faults],
            "more_faults": self.more_faults,
        }


@dataclass(frozen=True)
class Verification:
    output: str
    titles: tuple[TitleCheck, ...]

    @property
    def fault_count(self) -> int:
        return sum(one.fault_count for one in self.titles)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong. A title that is not finished is nothing wrong."""
        return self.fault_count == 0


def status(target: Where, *, output: str | None = None, only: Sequence[str] = ()) -> Statuses:
    """How far titles are, from records alone.

    `target`: a manifest (read already, or its path or URL), or the folder or URL of an output. `output` wins over the
    manifest's. Raises UserError where it is neither.
    """
    opened = opened_at(target, output, only)
    ends = last_ends(opened.store)

    def of(title: tuple[Found, tuple[str, ...]]) -> Status:
        return status_of(opened.store, title[0], ends.get(title[0].title), title[1])

    return Statuses(str(opened.store), tuple(side_by_side(of, opened.titles(), TITLES)))


def verify(
    target: Where,
    *,
    output: str | None = None,
    only: Sequence[str] = (),
    planes: bool = False,
    on_title: Callable[[TitleCheck], None] | None = None,
) -> Verification:
    """Compare everything that is there with what its records say; `target` is as for `status`.

    Checksums of all objects, the links of the chain, frame counts, times, playlists, and pictures: those at the borders
    of GOPs, or with `planes` all of them. `on_title` is called for each title as soon as it is checked.

    Raises UserError where the target is neither a manifest nor an output; faults are returned, not raised.
    """
    opened = opened_at(target, output, only)
    titles = []
    for found, notes in opened.titles():
        one = _check(opened.store, found, notes, planes)
        titles.append(one)
        if on_title:
            on_title(one)
    return Verification(str(opened.store), tuple(titles))


def opened_at(target: Where, output: str | None, only: Sequence[str]) -> Target:
    if isinstance(target, Target):
        return target
    if isinstance(target, Catalog):
        return Target(open_store(output or target.output), select_titles(target, only), tuple(only))
    return open_target(os.fspath(target), output, only)


def _check(store: Store, found: Found, notes: tuple[str, ...], planes: bool) -> TitleCheck:
    """All checks of one title. Memory does not grow with its length, but for its playlists' text."""
    findings = Findings(found)
    if done := found.ledger(store, "done"):
        with suppress(Unreadable):
            findings.done = read_record(findings, done, "done", 0)
    check_preparation(findings, store)
    findings.chained = check_chain(findings, store)
    findings.upscaled = check_stream(findings, store, every_picture=planes)
    check_playlists(findings, store, findings.upscaled)
    check_final(findings, store, every_picture=planes)
    return TitleCheck(
        id=found.title,
        stream=found.stream_hash,
        kept=str(findings.done.facts.get("kept")) if findings.done else None,
        frames=found.frames,
        gops=found.gops,
        chained=findings.chained,
        upscaled=findings.upscaled,
        objects=findings.objects,
        bytes=findings.bytes,
        pictures=findings.pictures,
        notes=(*notes, *findings.notes),
        faults=tuple(findings.faults),
        more_faults=findings.more,
    )
