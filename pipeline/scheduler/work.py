"""What the driver hands to workers and what they answer; the scheduler's events and commands: plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pipeline.scheduler.title_work import TitleWork

Kind = Literal["conditioning", "sound", "features", "chain", "upscale", "playlist", "finish"]
Role = Literal["prepare", "chain", "upscale", "publish"]

ROLES: tuple[Role, ...] = ("prepare", "chain", "upscale", "publish")


@dataclass(frozen=True)
class Job:
    """A piece of one title: `count` units of `kind` from `first` on.

    Units are blocks of features, GOPs (chain, upscale), or the whole title. For a playlist and for the finished file,
    `count` is the number of committed GOPs that they show (a preview shows fewer than there are). `visit` says how
    often the store was looked at anew: what a worker remembers of the title from an earlier visit may be stale.
    """

    title: str
    kind: Kind
    first: int = 0
    count: int = 1
    visit: int = 0


@dataclass(frozen=True)
class Known:
    """The record of a unit of chain or upscale work as it was committed: who is given it need not read it."""

    title: str
    kind: Kind
    unit: int
    record: bytes = field(repr=False)


@dataclass(frozen=True)
class Work:
    """One call to one worker.

    A chain worker gets a job for each of its lanes, then spare ones: for lanes whose title ends during the call. A
    spare that was not needed, or not finished, comes back without failure and without anything done. `known`: records
    that the jobs need, as far as the driver has them.
    """

    number: int
    kind: Kind
    jobs: tuple[Job, ...]
    lanes: int = 0  # shape of the chain's batch, always the same for a title; 0: the family's
    known: tuple[Known, ...] = ()


Cause = Literal[
    "user",  # the input is at fault: no retry
    "stopped",  # the worker was told to stop: not a failure
    "preempted",  # its machine was taken, as had been announced: free
    "lost",  # its machine went without notice: nearly free, unless one unit is on board every time
    "infrastructure",  # the store or the network: wait, then again
    "memory",  # too little memory: a smaller unit
    "crash",  # anything else
    "numerics",  # this worker computes differently from the title's other workers
    "damaged",  # an object is not what its record says; the record has been voided
]


@dataclass(frozen=True)
class Failure:
    cause: Cause
    message: str


ReasonKind = Literal[
    Cause,
    "poison",  # a unit failed, or took its machine or driver along, again and again while nothing else was there
    "records",  # what the store holds of the title cannot be read, or not made good
    "workers",  # nobody works in a role that the title needs
    "version",  # an earlier version made it, and this one cannot go on with it; known before anything is scheduled
]


@dataclass(frozen=True)
class Reason:
    """Why a title failed or paused. `place`: the unit that did it, such as `chain 3`, where it was one."""

    kind: ReasonKind
    title: str
    text: str
    place: str = ""

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Done:
    """One unit that is committed now. `won` is False where another writer had committed it before.

    `record`: of a GOP, as it was written, where others will need it.
    """

    title: str
    kind: Kind
    unit: int
    won: bool = True
    seconds: float = 0.0
    record: bytes = field(default=b"", repr=False, compare=False)


@dataclass(frozen=True)
class Outcome:
    """What came of a job: the units committed, and the failure that ended it early, if any."""

    job: Job
    done: tuple[Done, ...] = ()
    failure: Failure | None = None
    ahead: int = 0  # clips of the title's next GOP that a chain worker has made and keeps
    facts: dict[str, object] = field(default_factory=dict, hash=False)


# -- events -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scanned:
    """What the store holds of a title. `chained` and `streamed` are committed prefixes in GOPs."""

    title: str
    sound: bool
    conditioning: bool
    blocks: tuple[int, ...]
    chained: int
    streamed: tuple[int, ...]
    done: bool
    lanes: int | None = None  # of the chain's batch, where the title's numerics record says so
    remade: int = 0  # units of which a record was void once
    scenes: tuple[tuple[TitleWork, Scanned], ...] = ()  # of a title in scenes, once it is known where they begin


@dataclass(frozen=True)
class ScanFailed:
    """The store did not let the title be looked at: it pauses, or fails where no later look will be better."""

    title: str
    reason: str
    for_good: bool = False


@dataclass(frozen=True)
class Ready:
    """What a worker says when it can take work."""

    device: str = ""  # its class: speeds are learned for each
    lanes: int | None = None  # of a chain worker's batch, for titles that have not begun


@dataclass(frozen=True)
class WorkerReady:
    worker: str
    ready: Ready = Ready()


@dataclass(frozen=True)
class WorkerLost:
    """`failure.cause` is preempted, lost, memory or crash (also: hung and was killed)."""

    worker: str
    failure: Failure


@dataclass(frozen=True)
class WorkerLeaving:
    """Its machine will go, or it was told to stop: it gets no more work."""

    worker: str


@dataclass(frozen=True)
class Progress:
    done: tuple[Done, ...]


@dataclass(frozen=True)
class Finished:
    worker: str
    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True)
class StopAsked:
    reason: str


Event = Scanned | ScanFailed | WorkerReady | WorkerLeaving | WorkerLost | Progress | Finished | StopAsked


# -- commands -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Launch:
    worker: str
    role: Role


@dataclass(frozen=True)
class Retire:
    worker: str
    kill: bool = False


@dataclass(frozen=True)
class Assign:
    worker: str
    work: Work


@dataclass(frozen=True)
class Scan:
    title: str


Command = Launch | Retire | Assign | Scan
