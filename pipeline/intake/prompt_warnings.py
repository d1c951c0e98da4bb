"""What a user should know of prompts before anything is made: words that a family has never learned."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from models.families.protocol import Family
from models.families.vocabulary import words_of
from pipeline.titles.title_plan import TitlePlan


def prompt_warnings(family: Family, plans: Iterable[TitlePlan]) -> Iterator[str]:
    """One line for every prompt with words that change the face in no way anybody chose, and one with those that do."""
    if not family.words:
        return
    found = False
    for plan in plans:
        for _, text in plan.prompts:
            unknown = [word for word in dict.fromkeys(words_of(text)) if word not in family.words]
            if unknown:
                found = True
                said = " and ".join(map(repr, unknown))
                yield f"{plan.id}: prompt {text!r}: family {family.name!r} has not learned {said}: that acts by chance"
    if found:
        yield f"words that {family.name!r} has learned: {', '.join(family.words)}"
