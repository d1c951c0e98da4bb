"""How a render ended."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.api.errors import TitlesFailed, TitlesPaused
from pipeline.core.errors import Problem
from pipeline.driver.ending import TitleEnd

DONE, FAILED, INTERRUPTED = 0, 1, 75


@dataclass(frozen=True)
class Result:
    """`titles` in the order of the manifest. Of those that were not looked at again counts are 0.

    `run`: the id under which the store keeps how the run ended; None where nothing was left to do. `problems`: why
    titles were left out (`skip_invalid`). `warnings`: what could not be written, beside the videos.
    """

    output: str
    run: str | None
    titles: tuple[TitleEnd, ...]
    problems: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()
    failed_fast: bool = False

    @property
    def done(self) -> tuple[TitleEnd, ...]:
        return tuple(one for one in self.titles if one.state == "done")

    @property
    def failed(self) -> tuple[TitleEnd, ...]:
        return tuple(one for one in self.titles if one.state == "failed")

    @property
    def paused(self) -> tuple[TitleEnd, ...]:
        return tuple(one for one in self.titles if one.state == "paused")

    @property
    def exit_code(self) -> int:
        """What `python -m pipeline.render` ends with: 0 all done, 1 some failed, 75 some are not finished."""
        if self.paused and not self.failed_fast:
            return INTERRUPTED
        return FAILED if self.failed or self.problems else DONE

    def check(self) -> Result:
        """This result if all its titles are done. Raises TitlesPaused or TitlesFailed, which name the others."""
        if self.paused and not self.failed_fast:
            raise TitlesPaused({one.id: one.reason or "" for one in self.paused})
        if self.failed:
            raise TitlesFailed({one.id: one.reason or "" for one in self.failed})
        return self
