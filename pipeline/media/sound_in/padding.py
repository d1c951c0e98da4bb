"""Silence behind each sound file but the last, so that the next one begins at the border of a GOP.

A scene then begins with its file, and another length of one file moves all that follows by whole GOPs: scenes that did
not change are found again as they are. Example: a chapter of 10 s is followed by 1.52 s of silence, 11.52 s being 6
GOPs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from math import ceil

from pipeline.core.timeline import FPS, GOP
from pipeline.media.sound_in.facts import AudioFacts

GOP_SECONDS = Fraction(GOP, FPS)


def padded(facts: Sequence[AudioFacts]) -> tuple[AudioFacts, ...]:
    """The same files, each with the silence that follows it."""
    found, end = list[AudioFacts](), Fraction(0)
    for fact in facts[:-1]:
        end += Fraction(fact.samples, fact.rate)
        pad = ceil(end / GOP_SECONDS) * GOP_SECONDS - end
        end += pad
        found.append(replace(fact, pad=(pad.numerator, pad.denominator)))
    return (*found, *facts[-1:])


def lengths(facts: Sequence[AudioFacts]) -> list[tuple[int, int]]:
    """(samples, rate) of every file and of the silence behind it, in turn: twice as many as there are files."""
    return [pair for fact in facts for pair in ((fact.samples, fact.rate), fact.pad)]


def in_padded(moment: Fraction, facts: Sequence[AudioFacts]) -> Fraction:
    """A moment of the files put one after the other, in seconds, where it is with the silence between them."""
    end = silence = Fraction(0)
    for fact in facts[:-1]:
        end += Fraction(fact.samples, fact.rate)
        if moment < end:
            break
        silence += Fraction(*fact.pad)
    return moment + silence
