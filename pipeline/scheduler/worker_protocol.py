"""What executors expect of a worker, whoever made it (`actors/`): calls in, plain facts out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeVar

from pipeline.scheduler.work import Done, Outcome, Ready, Work

Plan = TypeVar("Plan", contravariant=True)


class WorkerProtocol(Protocol[Plan]):
    """`run` takes a while and answers with what became of its jobs; the others may be called meanwhile.

    Plans are those of the titles of the work, of whatever type: the scheduler does not look into them.
    """

    def ready(self, plan: Plan | None = None, lanes: int | None = None) -> Ready: ...

    def run(self, work: Work, plans: Mapping[str, Plan]) -> tuple[Outcome, ...]: ...

    def news(self) -> tuple[float, tuple[Done, ...]]:
        """Seconds since the last sign of life, and what was committed since the last call."""

    def stop(self) -> None:
        """Finish the unit in hand, then end the job."""
