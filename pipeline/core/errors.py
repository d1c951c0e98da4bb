"""The exception tree. A message says what is wrong, where, what was expected, and what to do next.

LongtakeError            exit 1
├── UserError            exit 2: the manifest, an input or the set-up is wrong; nothing was rendered
│   ├── ManifestError    every problem of a manifest at once
│   ├── InputError       a portrait, an audio file or a list of them cannot be used
│   ├── OutputError      the output cannot be written, or would vanish
│   ├── WeightsError     weights are missing, damaged or do not belong to the family
│   └── SetupError       a program or library that is needed is missing
├── Paused               exit 75: stopped on request or waiting for something; run again to continue
├── StoreError           exit 75: the store did not answer as it should, after several tries
│   ├── MissingObject    an object that a record names is not there
│   └── DamagedObject    an object is not the one that its record describes
└── …                    others stand beside what raises them
"""

from __future__ import annotations

from dataclasses import dataclass


class LongtakeError(Exception):
    """Base of all errors that Longtake raises on purpose; its text is meant for the user."""

    exit_code = 1


class UserError(LongtakeError):
    exit_code = 2


MOST_LISTED = 501  # problems that a text lists


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong: `place` is `file:line: key`, `text` says value, expectation and remedy."""

    place: str
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"


class ManifestError(UserError):
    """All problems found, in the order of the file; `str()` gives one a line."""

    def __init__(self, problems: list[Problem]):
        self.problems = tuple(problems)
        listed = [str(problem) for problem in problems[:MOST_LISTED]]
        if len(problems) > MOST_LISTED:
            listed.append(f"… and {len(problems) - MOST_LISTED} more; correct these first")
        super().__init__("\n".join(listed))


class InputError(UserError):
    pass


class OutputError(UserError):
    pass


class WeightsError(UserError):
    pass


class SetupError(UserError):
    pass


class Paused(LongtakeError):
    exit_code = 75


class StoreError(LongtakeError):
    exit_code = 75


class MissingObject(StoreError):
    pass


class DamagedObject(StoreError):
    pass
