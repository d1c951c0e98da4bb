"""What all workers have in common: run jobs, report what is committed, stop between units, never raise."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from actors.inputs import fetch_weights
from models.families.dead_device import MEMORY, is_dead
from models.families.registry import load_part
from models.families.weight_files import Part
from pipeline.core.errors import DamagedObject, LongtakeError, MissingObject, OutputError, StoreError, UserError
from pipeline.core.scratch import NO_ROOM, no_room
from pipeline.core.timeline import GOP
from pipeline.scheduler.work import Cause, Done, Failure, Job, Kind, Known, Outcome, Ready, Role, Work
from pipeline.store.opening import open_store
from pipeline.titles.numerics import LanesDiffer, NumericsDiffer, claim
from pipeline.titles.title_plan import TitlePlan

log = logging.getLogger("longtake")


_USERS_OWN = ("PromptProblem", "WeightsProblem", "GuidanceDevices")  # mistakes that no further try mends


BEAT, LONGEST_TASK = 10.0, 3600.0  # seconds between signs of life in a long task, and after which they end
DEAD_DEVICE = 70  # exit code of a worker that has lost its device (EX_SOFTWARE of sysexits.h)


class Stopped(Exception):
    """Raised between units once the worker has been told to stop."""


class NotFiniteNumbers(LongtakeError):
    """What networks gave holds NaN or infinities, in every type that could be tried."""


class Worker:
    """Base of the workers. `run` answers with outcomes; the other public methods may be called while it runs."""

    role: Role

    def __init__(self, output: str, device: str = "cpu", run: str = "local"):
        self.store = open_store(output)
        # On a cluster for trying things out (cluster.local) the devices that Ray gives away are made up.
        self.device = "cpu" if os.environ.get("LONGTAKE_FAKE_ACCELERATORS") else device
        self.run_id = run
        self._parts: dict[str, Any] = {}
        self._claims: dict[tuple[str, str, str], dict[str, Any]] = {}
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._news: list[Done] = []
        self._beat = time.monotonic()
        self._known: tuple[Known, ...] = ()  # records that came with the work in hand
        self.store.progress = self.alive

    def run(self, work: Work, plans: Mapping[str, TitlePlan]) -> tuple[Outcome, ...]:
        """Do the jobs one after the other; a failure ends its job only."""
        self._known = work.known
        return tuple(self._guarded(job, self.work_on(job, plans[job.title])) for job in work.jobs)

    def work_on(self, job: Job, plan: TitlePlan) -> Iterator[Done]:
        """Yield each unit once it is committed. Overridden by every worker."""
        raise TypeError(f"{type(self).__name__} does not run {job.kind}")

    def news(self) -> tuple[float, tuple[Done, ...]]:
        """Seconds since the last sign of life, and what was committed since the last call."""
        with self._lock:
            news, self._news = tuple(self._news), []
        return time.monotonic() - self._beat, news

    def stop(self) -> None:
        """Finish the unit in hand, then end the job."""
        self._stop.set()

    def ready(self, plan: TitlePlan | None = None, lanes: int | None = None) -> Ready:
        """Answers once the worker can take work. `plan`: of any title; `lanes`: of a chain's batch, as asked for."""
        return Ready()

    # -- for the workers themselves -------------------------------------------------------------------------------

    def part(self, plan: TitlePlan, part: Part) -> Any:
        """The family's networks of one kind, loaded once."""
        key = f"{plan.family}/{plan.weights_hash}/{part}"
        if key not in self._parts:
            with fetch_weights(self.store, plan, part) as folder:
                self._parts[key] = load_part(plan.constants, part, folder, self.device)
        return self._parts[key]

    def numerics(self, plan: TitlePlan, stage: str, part: Any, more: dict[str, Any] | None = None) -> dict[str, Any]:
        """The numerics class that the stage's records name, `more` being part of it; claimed once per title."""
        key = (plan.prefix(stage), plan.hashes.stream, str(more))
        if key not in self._claims:
            self._claims[key] = claim(self.store, plan, stage, part.numerics() | (more or {}))
        return self._claims[key]

    def alive(self) -> None:
        """A sign of life: a clip, a window, a second of sound, a request of the store, some megabytes of a file."""
        self._beat = time.monotonic()

    @contextmanager
    def long_task(self) -> Iterator[None]:
        """Signs of life from a thread, while something runs that gives none itself and may take minutes: compiling."""
        over = threading.Event()

        def beat() -> None:
            for _ in range(int(LONGEST_TASK / BEAT)):
                self.alive()
                if over.wait(BEAT):
                    return

        thread = threading.Thread(target=beat, name="sign of life", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def known(self, plan: TitlePlan, kind: Kind) -> dict[int, bytes]:
        """Records of a title that came with the work in hand, by first frame: they need not be read."""
        return {one.unit * GOP: one.record for one in self._known if (one.title, one.kind) == (plan.name, kind)}

    def committed(self, done: Done) -> Done:
        self.alive()
        with self._lock:
            self._news.append(done)
        return done

    def leave_if_dead(self, error: BaseException) -> None:
        """End this process where it has lost its accelerator: the unit in hand is then tried again on another one.

        Only a worker with a process of its own has an accelerator, so nobody else goes with it.
        """
        if self.device == "cpu" or not is_dead(error):
            return
        log.critical("the %s worker has lost its device and leaves: %s: %s", self.role, type(error).__name__, error)
        for handler in (*log.handlers, *logging.getLogger().handlers):
            handler.flush()
        os._exit(DEAD_DEVICE)

    def check_stop(self) -> None:
        if self._stop.is_set():
            raise Stopped

    def made(self, started: float) -> dict[str, Any]:
        """When, where and for how long: the part of a record that may differ between runs."""
        now = time.time()
        return {
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),
            "ended": round(now, 3),
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "run": self.run_id,
            "seconds": round(time.monotonic() - started, 4),
        }

    def _guarded(self, job: Job, units: Iterator[Done]) -> Outcome:
        done: list[Done] = []
        try:
            self.alive()
            for item in units:
                done.append(self.committed(item))
        except Exception as error:  # noqa: BLE001 - whatever goes wrong is the scheduler's to judge
            self.leave_if_dead(error)
            return Outcome(job, tuple(done), failure_of(error, job))
        return Outcome(job, tuple(done))


def failure_of(error: Exception, job: Job) -> Failure:
    """The class of a failure, which decides whether and how the unit is tried again."""
    cause: Cause
    match error:
        case Stopped():
            return Failure("stopped", "stopped on request")
        case NumericsDiffer():
            cause = "numerics"
        case DamagedObject() | MissingObject() | LanesDiffer():
            cause = "damaged"  # what a record names and is gone is as bad: the next look at the title voids the record
        case StoreError() | OutputError() | ConnectionError() | TimeoutError():
            cause = "infrastructure"  # credentials that expired are among these: nobody's input is at fault
        case UserError() | NotFiniteNumbers():
            cause = "user"
        case OSError() if error.errno in NO_ROOM:  # the store's own faults are errors of its own
            return Failure("infrastructure", no_room(str(error)))
        case MemoryError():
            cause = "memory"
        case _:
            # torch is not imported here, so what comes from the networks is known by name.
            if type(error).__name__ in _USERS_OWN:
                return Failure("user", str(error))
            cause = "memory" if type(error).__name__ == MEMORY else "crash"
            log.exception("%s of title %s failed", job.kind, job.title)
            return Failure(cause, f"{type(error).__name__}: {error}")
    return Failure(cause, str(error))
