"""Who sits in which lane: titles stay with the chain worker that holds their state, until somebody should go first.

A title may be displaced between two GOPs: by one of a higher rank, by one whose owner has had much less for its share,
or by one that is much longer. What it loses is a little time: its state lies in the store.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass, field

from pipeline.core.timeline import CLIP, GOP
from pipeline.scheduler.fair_queue import FairShares, Rank, TitleQueue
from pipeline.scheduler.ready_jobs import Unit
from pipeline.scheduler.title_state import TitleState
from pipeline.scheduler.work import Role, Work

CLIPS = GOP // CLIP  # of a whole GOP

IN_ORDER, LONGEST_FIRST = 1, 0  # second in the key of a scene that waits for its chain: how those of its title go
TURN = 10  # GOPs by which an owner may be ahead before its titles make room
LONGER = 2  # times as much must be left of a title that displaces another of the same owner


@dataclass
class WorkerState:
    role: Role
    ready: bool = False
    device: str = ""
    lanes: int = 1
    work: Work | None = None
    began: float = 0.0  # when it was given its work
    leaving: bool = False  # it was told to stop by somebody else: it takes no more work
    failed_units: set[Unit] = field(default_factory=set)
    unsuited: dict[str, str] = field(default_factory=dict)  # titles begun on another numerics class, and what it said

    @property
    def idle(self) -> bool:
        return self.ready and self.work is None


class ChainLanes:
    """Titles on board of chain workers."""

    def __init__(
        self, titles: dict[str, TitleState], fair: FairShares, queue: TitleQueue, alone: Callable[[str], bool]
    ):
        """`alone`: whether a title's next GOP is to be tried without others on board."""
        self._titles, self._fair, self._queue, self._alone = titles, fair, queue, alone
        self._home: dict[str, str] = {}  # title → worker that holds its state
        self._aboard: dict[str, list[str]] = {}
        self._ahead: dict[str, int] = {}  # clips of a title's next GOP that its worker has made already

    def forget(self, title: str) -> None:
        """The title's state is no longer with its worker."""
        self._home.pop(title, None)
        self._ahead.pop(title, None)

    def leave(self, worker: str) -> None:
        """The worker is gone, and what it held with it."""
        for title in self._aboard.pop(worker, []):
            if self._home.get(title) == worker:
                self.forget(title)

    def note(self, title: str, ahead: int) -> None:
        self._ahead[title] = ahead

    def at_home(self) -> int:
        """Titles in the line that will go on where they are."""
        return sum(title in self._queue for title in self._home)

    def choose(self, name: str, worker: WorkerState) -> tuple[list[str], int]:
        """Titles for the next call of a worker, and the shape of the batch: one a lane, then spare ones.

        They count as handed out: their owners are charged.
        """
        aboard = (title for title in self._aboard.get(name, []) if self._home.get(title) == name)
        seated = [title for title in aboard if title in self._queue]
        first = self._next(worker, ())
        if not seated and first is None:
            return [], 0
        if seated and (first is None or not all(self._displaces(first, other) for other in seated)):
            lanes = self._lanes_of(seated[0], worker)
        else:
            assert first is not None
            lanes = self._lanes_of(first, worker)
        seated = [title for title in seated if self._lanes_of(title, worker) == lanes][:lanes]
        stayed = list(seated)
        while (title := self._next(worker, seated, lanes)) is not None:
            if len(seated) == lanes:
                weaker = [other for other in seated if self._displaces(title, other)]
                if not weaker:
                    break
                seated.remove(max(weaker, key=self._weakness))
            seated.append(title)
            self._charge(title)
        for title in seated:
            if title in stayed:
                self._charge(title)
        if alone := [title for title in seated if self._alone(title)]:
            for title in seated:
                if title != alone[0]:
                    self._charge(title, -1)
            seated = alone[:1]
        elif len(seated) == lanes:
            seated += self._spare(worker, seated, lanes)
        self._settle(name, seated)
        return seated, lanes

    def _spare(self, worker: WorkerState, seated: list[str], lanes: int) -> list[str]:
        """Titles for lanes whose own ends before the call does: between clips, without waiting for the others."""
        spare: list[str] = []
        for _ in range(sum(self._ends_early(title) for title in seated)):
            title = self._next(worker, [*seated, *spare], lanes)
            if title is None or self._alone(title):
                break
            self._charge(title)
            spare.append(title)
        return spare

    def _ends_early(self, name: str) -> bool:
        title = self._titles[name]
        clips = title.work.last_clips if title.chained == title.work.gops - 1 else CLIPS
        return title.chained == title.work.gops - 1 and clips - self._ahead.get(name, 0) < CLIPS

    def _next(self, worker: WorkerState, without: Container[str], lanes: int | None = None) -> str | None:
        """The best title that waits and that the worker may take, with a batch of `lanes`."""
        for title in self._queue.best(self._fair):
            if title not in self._home and title not in worker.unsuited and title not in without:  # noqa: SIM102
                if lanes is None or self._lanes_of(title, worker) == lanes:
                    return title
        return None

    def _lanes_of(self, title: str, worker: WorkerState) -> int:
        return self._titles[title].lanes or worker.lanes

    def _displaces(self, new: str, old: str) -> bool:
        """Whether a title that waits should have the lane of one that is on board."""
        rank, other = self._queue.rank(new), self._queue.rank(old)
        if rank != other:
            return rank < other
        one, two = self._titles[new].work, self._titles[old].work
        if one.owner != two.owner:
            return self._fair.ahead(two.owner, one.owner) > TURN
        if one.film and one.film == two.film and self._queue.key(new)[1] == IN_ORDER:
            return False
        return self._left(new) > LONGER * self._left(old) + TURN

    def _weakness(self, title: str) -> tuple[Rank, float, int]:
        return self._queue.rank(title), self._fair.had(self._titles[title].work.owner), -self._left(title)

    def _left(self, name: str) -> int:
        title = self._titles[name]
        return title.work.gops - title.chained

    def _charge(self, title: str, units: int = 1) -> None:
        self._fair.charge(self._titles[title].work.owner, units)

    def _settle(self, name: str, chosen: list[str]) -> None:
        for title in self._aboard.get(name, []):
            if title not in chosen and self._home.get(title) == name:
                self.forget(title)
        self._aboard[name] = list(chosen)
        for title in chosen:
            self._home[title] = name
