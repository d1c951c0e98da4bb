"""Errors of the library beyond those of `pipeline.core.errors`; all are LongtakeError, whose text is meant for people.

LongtakeError
├── UserError
│   └── Busy            another render runs in this process
├── Paused
│   ├── Cancelled       cancelled before workers began
│   └── TitlesPaused    `Result.check`: titles are not finished
└── TitlesFailed        `Result.check`: titles were given up
"""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.core.errors import LongtakeError, Paused, UserError


class Busy(UserError):
    pass


class Cancelled(Paused):
    """`reason`: what was given to `Cancel.set`."""

    def __init__(self, reason: str):
        self.reason = reason
        super().__init__(f"cancelled before rendering began ({reason}); render again to continue")


class TitlesFailed(LongtakeError):
    """`titles`: the reason of each title that failed, by id."""

    def __init__(self, titles: Mapping[str, str]):
        self.titles = dict(titles)
        super().__init__("; ".join(f"{name}: {reason}" for name, reason in titles.items()))


class TitlesPaused(Paused):
    """`titles`: why each title is not finished, by id."""

    def __init__(self, titles: Mapping[str, str]):
        self.titles = dict(titles)
        text = "; ".join(f"{name}: {reason}" for name, reason in titles.items())
        super().__init__(f"{text}; render again to continue")
