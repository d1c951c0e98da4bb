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

from dataclasses import dataclass, field
from typing import Literal


class LongtakeError(Exception):
    """Base of all errors that Longtake raises on purpose; its text is meant for the user."""

    exit_code = 1


class UserError(LongtakeError):
    exit_code = 2


MOST_LISTED = 501  # problems that a text lists


ProblemKind = Literal[
    "manifest",  # the file as it is written
    "selection",  # no such titles, or none known, as `only` or `retry_failed` ask for
    "output",
    "weights",  # their address, or that they lack what a title needs
    "portrait",  # the picture, or the embedding of its face
    "sound",
    "captions",
    "picture",  # a cover, or what fills a canvas
    "prompts",
    "chapters",
    "retakes",
    "option",  # it does not go with the inputs
]


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong. `str()` is all of it as one line for people.

    `place`: `file:line: key`. `text`: what is wrong, with the value and what was expected. `remedy`: what to do, empty
    where the text says it. `title`: id of the title that it keeps from being rendered, empty where it is none or all.
    """

    place: str
    text: str
    remedy: str = ""
    kind: ProblemKind = field(kw_only=True)
    title: str = field(default="", kw_only=True)

    def __str__(self) -> str:
        return f"{self.place}: {with_remedy(self.text, self.remedy)}"


def with_remedy(text: str, remedy: str) -> str:
    return f"{text}; {remedy}" if remedy else text


class ManifestError(UserError):
    """All problems found, in the order of the file; `str()` gives one a line."""

    def __init__(self, problems: list[Problem]):
        self.problems = tuple(problems)
        listed = [str(problem) for problem in problems[:MOST_LISTED]]
        if len(problems) > MOST_LISTED:
            listed.append(f"… and {len(problems) - MOST_LISTED} more; correct these first")
        super().__init__("\n".join(listed))


class InputError(UserError):
    """`place`: the file; `text`: what is wrong; `remedy`: what to do. Empty where the text says them."""

    def __init__(self, text: str = "", remedy: str = "", *, place: str = ""):
        self.place, self.text, self.remedy = place, text, remedy
        told = with_remedy(text, remedy)
        super().__init__(f"{place}: {told}" if place else told)


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
