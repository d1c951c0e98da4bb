"""What a render tells while it goes on: small frozen dataclasses, in the order in which things happen.

Note            a line of text for people: an input that is read, a warning
TitleSkipped    a title that is left out because something in it is wrong (`skip_invalid`)
TitleUnlisted   a title of the output that the manifest no longer names; its files stay
Started         workers are about to begin; from here on `cancel` lets the GOPs in hand be finished
StepDone        a part of the preparation or of publishing is committed
GopDone         48 frames are committed: sampled (stage `chain`) or upscaled and encoded (stage `upscale`)
UnitFailed      a try failed; most are repeated, and the title goes on
WorkerLost      a worker ended without being asked to; its work is given to others
TitleDone       the file of a title is there
TitleFailed     a title is given up; the others go on
TitlePaused     a title is not finished; rendering again continues it
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipeline.core.errors import Problem
from pipeline.scheduler.work import Cause, Kind, ReasonKind

How = Literal["rendered", "found done", "not opened", "of an earlier version"]


@dataclass(frozen=True)
class Note:
    text: str


@dataclass(frozen=True)
class TitleSkipped:
    problem: Problem


@dataclass(frozen=True)
class TitleUnlisted:
    """`place`: its folder, as a path or URL."""

    title: str
    place: str


@dataclass(frozen=True)
class Started:
    """`run`: the id under which the store keeps how the run ended. `titles`: ids of those that are to be made."""

    run: str
    titles: tuple[str, ...]


@dataclass(frozen=True)
class StepDone:
    """`stage`: sound, conditioning, features, playlist or finish; `unit`: of features the block, else 0."""

    title: str
    stage: Kind
    unit: int
    seconds: float


@dataclass(frozen=True)
class GopDone:
    """GOP number `gop`, counted from 0, is committed.

    `done` of the stage's `gops` are there by now, those of earlier runs included; a preview has fewer than the title.
    `seconds`: how long the worker took for it.
    """

    title: str
    stage: Literal["chain", "upscale"]
    gop: int
    done: int
    gops: int
    seconds: float


@dataclass(frozen=True)
class UnitFailed:
    """Work on a title from unit `first` of a stage on failed."""

    title: str
    stage: Kind
    first: int
    cause: Cause
    message: str


@dataclass(frozen=True)
class WorkerLost:
    worker: str
    cause: Cause
    message: str


@dataclass(frozen=True)
class TitleDone:
    """`file`: path or URL of `final.mp4`, or of `preview.mp4`. `how`: whether this run made it."""

    title: str
    file: str
    how: How


@dataclass(frozen=True)
class TitleFailed:
    """`done` of `gops` GOPs are there. `reason` is for people, `kind` of a fixed set.

    `place`: the unit that did it, such as `chain 3`, where it was one.
    """

    title: str
    reason: str
    done: int
    gops: int
    kind: ReasonKind
    place: str = ""


@dataclass(frozen=True)
class TitlePaused:
    """As `TitleFailed`; `kind` is `stopped` where nothing is wrong with the title."""

    title: str
    reason: str
    done: int
    gops: int
    kind: ReasonKind
    place: str = ""


Event = (
    Note
    | TitleSkipped
    | TitleUnlisted
    | Started
    | StepDone
    | GopDone
    | UnitFailed
    | WorkerLost
    | TitleDone
    | TitleFailed
    | TitlePaused
)
