"""What `<id>/inputs.json` keeps of a title's inputs, so that audio is not decoded again: believed only where it fits.

The file lies in the output, where others may write. An entry that does not describe a portrait, a sound file or an
embedding is as good as none: the input is then looked at again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipeline.media.sound import HIGHEST_RATE, LONGEST, LOWEST_RATE, MOST_CHANNELS, AudioFacts
from pipeline.store.digests import is_sha256


def usable_entries(found: Any) -> dict[str, dict[str, Any]]:
    """Entries by redacted address; those that cannot be right are left out."""
    entries = found.get("files") if isinstance(found, dict) else None
    return {entry["url"]: entry for entry in entries if _fits(entry)} if isinstance(entries, list) else {}


def _fits(entry: Any) -> bool:
    if not isinstance(entry, dict) or not {"url", "sha256", "size", "stamp", "facts"} <= set(entry):
        return False
    named = isinstance(entry["url"], str) and isinstance(entry["stamp"], str) and is_sha256(entry["sha256"])
    return named and _count(entry["size"], 1) and (entry["facts"] is None or any(_facts(entry["facts"])))


def _facts(facts: Any) -> Iterator[bool]:
    """Whether these are the edges of a picture, or what was counted in a sound file or in captions."""
    yield isinstance(facts, list) and len(facts) == 2 and all(_count(edge, 1) for edge in facts)
    yield isinstance(facts, dict) and _is_sound(facts)
    yield isinstance(facts, dict) and _is_captions(facts)


def _is_captions(facts: dict[str, Any]) -> bool:
    missing = facts.get("cannot_be_drawn", 0)
    plain = missing is None or isinstance(missing, str)
    plain = plain or (isinstance(missing, list) and all(isinstance(one, str) for one in missing))
    return plain and all(_count(facts.get(name), 0) for name in ("cues", "last", "line"))


def _is_sound(facts: dict[str, Any]) -> bool:
    try:
        sound = AudioFacts.from_dict(facts)
    except (KeyError, TypeError, ValueError, AttributeError):
        return False
    counts = _count(sound.rate, LOWEST_RATE, HIGHEST_RATE) and _count(sound.channels, 1, MOST_CHANNELS)
    texts = [text for pair in sound.tags for text in pair] + [chapter.title for chapter in sound.chapters]
    times = [time for chapter in sound.chapters for time in (chapter.start, chapter.end)]
    fine = all(isinstance(text, str) for text in texts) and all(_count(time, 0) for time in times)
    return counts and fine and _count(sound.samples, 1, LONGEST * sound.rate)


def _count(value: Any, least: int, most: int = 1 << 62) -> bool:
    return type(value) is int and least <= value <= most
