"""How far titles are, and whether everything is there: from what an output holds. Nothing is written."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass

from pipeline.checks.final import check_final
from pipeline.checks.playlists import check_playlists
from pipeline.checks.records import check_chain, check_preparation
from pipeline.checks.status_of import Status, last_ends, status_of
from pipeline.checks.stream import check_stream
from pipeline.checks.title_check import Fault, TitleCheck, Unreadable, read_record
from pipeline.core.parallel import parallel_map
from pipeline.intake.selection import Selection, open_selection, select_titles
from pipeline.manifest.catalog import Catalog
from pipeline.store.opening import open_store
from pipeline.store.store import Store
from pipeline.titles.report import RecordsDigest
from pipeline.titles.title_folders import TitleFolders

TITLES = 4  # that are looked at side by side

Where = Selection | Catalog | str | os.PathLike[str]


@dataclass(frozen=True)
class Statuses:
    """`titles`: of a manifest one each; of an output one for each picture stream or chain that was begun."""

    output: str
    titles: tuple[Status, ...]


@dataclass(frozen=True)
class VerifiedTitle:
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

    def as_json(self) -> dict[str, object]:
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
    titles: tuple[VerifiedTitle, ...]

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

    def of(title: tuple[TitleFolders, tuple[str, ...]]) -> Status:
        return status_of(opened.store, title[0], ends.get(title[0].title), title[1])

    return Statuses(str(opened.store), tuple(parallel_map(of, opened.titles(), TITLES)))


def verify(
    target: Where,
    *,
    output: str | None = None,
    only: Sequence[str] = (),
    planes: bool = False,
    on_title: Callable[[VerifiedTitle], None] | None = None,
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


def opened_at(target: Where, output: str | None, only: Sequence[str]) -> Selection:
    if isinstance(target, Selection):
        return target
    if isinstance(target, Catalog):
        return Selection(open_store(output or target.output), select_titles(target, only), tuple(only))
    return open_selection(os.fspath(target), output, only)


def _check_scenes(check: TitleCheck, store: Store, planes: bool) -> None:
    """Whatever the title's scenes are made of, one after the other."""
    for number in range(len(check.folders.scenes)):
        scene = check.of_scene(number)
        check_preparation(scene, store)
        scene.chained = check_chain(scene, store)
        scene.records = RecordsDigest()  # the title's own stream counts for its digest
        check_stream(scene, store, every_picture=planes)
        check.take(scene)


def _check(store: Store, found: TitleFolders, notes: tuple[str, ...], planes: bool) -> VerifiedTitle:
    """All checks of one title. Memory does not grow with its length, but for its playlists' text."""
    check = TitleCheck(found)
    if done := found.ledger(store, "done"):
        with suppress(Unreadable):
            check.done = read_record(check, done, "done", 0)
    check_preparation(check, store)
    if found.scenes:
        _check_scenes(check, store, planes)
    else:
        check.chained = check_chain(check, store)
    check.upscaled = check_stream(check, store, every_picture=planes)
    check_playlists(check, store, check.upscaled)
    check_final(check, store, every_picture=planes)
    return VerifiedTitle(
        id=found.title,
        stream=found.stream_hash,
        kept=str(check.done.facts.get("kept")) if check.done else None,
        frames=found.frames,
        gops=found.gops,
        chained=check.chained,
        upscaled=check.upscaled,
        objects=check.objects,
        bytes=check.bytes,
        pictures=check.pictures,
        notes=(*notes, *check.notes),
        faults=tuple(check.faults),
        more_faults=check.more,
    )
