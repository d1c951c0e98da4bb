"""What `<id>/inputs.json` keeps of a title's inputs, so that audio is not decoded again: believed only where it fits.

An entry is found again by the hash of its whole address, never by what a message shows of it. Where the address has a
signature or a password, which the hash leaves out, the entry must also be of the same place in the title (`audio[3]`).

The file lies in the output, where others may write. An entry that does not describe a portrait, a sound file or an
embedding is as good as none: the input is then looked at again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import NotRequired, TypedDict

from pipeline.core.errors import DamagedObject, MissingObject
from pipeline.core.safe_text import redact
from pipeline.media.sound_in.facts import (
    FACES,
    HIGHEST_RATE,
    LONGEST,
    LOWEST_RATE,
    MIXES,
    MOST_CHANNELS,
    MOST_GAPS,
    MOST_TRACKS,
    AudioFacts,
)
from pipeline.media.sound_in.mixing import NAMED
from pipeline.sources.inputs import SourceFile
from pipeline.sources.signatures import address_key, has_secrets
from pipeline.store.digests import is_sha256
from pipeline.store.small_json import get_json
from pipeline.store.store import Store


class Entry(TypedDict):
    """What is kept of one file; `facts` is plain data, checked when it is read."""

    url: str
    sha256: str
    size: int
    stamp: str
    facts: object
    address: NotRequired[str]
    place: NotRequired[str]


class InputCache:
    """What was found in a title's inputs, as its inputs record has it."""

    def __init__(self, found: object = None):
        listed = found.get("files") if isinstance(found, dict) else None
        self._entries: dict[str, list[Entry]] = {}
        for entry in listed if isinstance(listed, list) else []:
            if _fits(entry) and (key := _address_of(entry)):
                self._entries.setdefault(key, []).append(entry)

    def __bool__(self) -> bool:
        return bool(self._entries)

    def find(self, place: str, url: str) -> Entry | None:
        """What is kept of the file at this address, that the title names at this place."""
        for entry in self._entries.get(address_key(url), ()):
            if not has_secrets(url) or entry.get("place") == place:
                return entry
        return None


def read_input_cache(store: Store, title: str) -> InputCache:
    """What is remembered of a title's inputs; nothing where there is nothing of use."""
    try:
        return InputCache(get_json(store, inputs_key(title)))
    except (MissingObject, DamagedObject):
        return InputCache()


def inputs_key(title: str) -> str:
    return f"{title}/inputs.json"


def inputs_record(found: Mapping[str, tuple[SourceFile, object]], frames: int | None) -> bytes:
    """The inputs record: files with what was found in them, by their place. `frames`: where all are known."""
    files = [
        {
            "place": place,
            "address": address_key(source.url),
            "url": redact(source.url),
            "sha256": source.sha256,
            "size": source.size,
            "stamp": source.stamp,
            "facts": facts,
        }
        for place, (source, facts) in found.items()
    ]
    record = {"files": files} | ({} if frames is None else {"frames": frames})
    return (json.dumps(record, indent=1) + "\n").encode()


def _address_of(entry: Entry) -> str | None:
    """Earlier versions kept the shown address alone: good for those of which nothing is hidden."""
    if "address" in entry:
        return entry["address"] if is_sha256(entry["address"]) else None
    shown: str = entry["url"]
    return None if "***" in shown or redact(shown) != shown else address_key(shown)


def _fits(entry: object) -> bool:
    if not isinstance(entry, dict) or not {"url", "sha256", "size", "stamp", "facts"} <= set(entry):
        return False
    named = isinstance(entry["url"], str) and isinstance(entry["stamp"], str) and is_sha256(entry["sha256"])
    return named and _count(entry["size"], 1) and (entry["facts"] is None or any(_facts(entry["facts"])))


def _facts(facts: object) -> Iterator[bool]:
    """Whether these are the edges of a picture, or what was counted in a sound file or in captions."""
    if isinstance(facts, list):
        yield all(_count(edge, 1) for edge in facts[:2]) and [type(one) for one in facts] in (
            [int, int],
            [int, int, str],
        )
    yield isinstance(facts, dict) and _is_sound(facts)
    yield isinstance(facts, dict) and _is_captions(facts)


def _is_captions(facts: dict[str, object]) -> bool:
    missing = facts.get("cannot_be_drawn", 0)
    plain = missing is None or isinstance(missing, str)
    plain = plain or (isinstance(missing, list) and all(isinstance(one, str) for one in missing))
    return plain and all(_count(facts.get(name), 0) for name in ("cues", "last", "line"))


def _is_sound(facts: dict[str, object]) -> bool:
    try:
        sound = AudioFacts.from_dict(facts)
    except (KeyError, TypeError, ValueError, AttributeError):
        return False
    counts = _count(sound.rate, LOWEST_RATE, HIGHEST_RATE) and _count(sound.channels, 1, MOST_CHANNELS)
    texts = [text for pair in sound.tags for text in pair] + [chapter.title for chapter in sound.chapters]
    texts += [*sound.notes, sound.short, sound.mix, sound.face]
    times = [time for chapter in sound.chapters for time in (chapter.start, chapter.end)]
    fine = all(isinstance(text, str) for text in texts) and all(_count(time, 0) for time in times)
    fine = fine and counts and _count(sound.samples, 1, LONGEST * sound.rate)
    return fine and _treated_as_known(sound) and ("mix" in facts or sound.channels <= NAMED)


def _treated_as_known(sound: AudioFacts) -> bool:
    """Whether what is to be done with a file is something that can be done. Earlier versions did not look at how more
    than eight channels are mixed: such a file is looked at again."""
    known = (
        sound.mix in MIXES
        and sound.face in FACES
        and isinstance(sound.mended, bool)
        and isinstance(sound.untrimmed, bool)
    )
    known = known and _count(sound.track, 0, MOST_TRACKS) and len(sound.gaps) <= MOST_GAPS
    end = 0
    for place, length in sound.gaps:
        if not known or not _count(place, end) or not _count(length, 1):
            return False
        end = place + length
    return known and end <= sound.samples


def _count(value: object, least: int, most: int = 1 << 62) -> bool:
    return type(value) is int and least <= value <= most
