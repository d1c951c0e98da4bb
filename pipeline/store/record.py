"""The format of a commit record: its stage and unit, what it was made of, and the objects that it vouches for."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from typing import Any

from pipeline.core.errors import DamagedObject, OutputError, StoreError
from pipeline.store.digests import sha256
from pipeline.store.small_json import parse_json
from pipeline.store.stages import STAGES
from pipeline.store.store import check_key

VERSION = 1
_USED = re.compile(r"[a-z0-9_]{1,40}(/[0-9]{1,12})?")  # what a record may use: a stage and a first frame
_MOST = 1 << 53


@dataclass(frozen=True)
class Stored:
    """An object that a record vouches for."""

    key: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Record:
    """One committed unit of one stage of one title.

    `plan` is the hash that the stage lies under; `parent` and `state` are the sha256 of the chain state it started from
    and left; `uses` names the records it read, by sha256 of their objects; `made` says when, where and for how long,
    and is the only part that may differ between two runs.
    """

    stage: str
    title: str
    plan: str
    first: int
    frames: int
    attempt: str
    objects: dict[str, Stored]
    generation: int = 0
    parent: str | None = None
    state: str | None = None
    uses: dict[str, str] = field(default_factory=dict)
    numerics: dict[str, object] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    made: dict[str, Any] = field(default_factory=dict)
    version: int = VERSION

    def to_json(self) -> bytes:
        return (json.dumps(asdict(self), sort_keys=True, indent=1) + "\n").encode()

    @staticmethod
    def from_json(data: bytes, where: str) -> Record:
        """Raises DamagedObject where the bytes are not a record, OutputError where a later version wrote them."""
        try:
            fields = parse_json(data)
            if isinstance(fields["version"], int) and fields["version"] > VERSION:
                raise OutputError(
                    f"{where}: written by a later version (record version {fields['version']}, this program knows "
                    f"{VERSION}); render with that version, or choose another output"
                )
            fields["objects"] = {name: Stored(**stored) for name, stored in fields["objects"].items()}
            record = Record(**fields)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DamagedObject(f"{where}: not a commit record ({type(error).__name__}: {error})") from error
        if wrong := record._wrong():
            raise DamagedObject(f"{where}: not a commit record ({wrong})")
        return record

    def _wrong(self) -> str | None:
        """What is not of its type, or None."""
        if self.version != VERSION:
            return f"version {self.version!r}"
        if not all(isinstance(group, dict) for group in (self.uses, self.numerics, self.facts, self.made)):
            return "a group of facts is no mapping"
        numbers = [self.first, self.frames, self.generation, *(one.size for one in self.objects.values())]
        if any(type(number) is not int or number < 0 for number in numbers):
            return "a frame, count or size is no number"
        texts = [self.stage, self.title, self.plan, self.attempt, *self.uses, *self.uses.values()]
        texts += [text for one in self.objects.values() for text in (one.key, one.sha256)]
        texts += [text for text in (self.parent, self.state) if text is not None]
        if not all(isinstance(text, str) for text in texts):
            return "a name or hash is no text"
        if any(number > _MOST for number in numbers):
            return "a frame, count or size is beyond all measure"
        if odd := [name for name in self.uses if not _USED.fullmatch(name)]:
            return f"it uses {odd[0][:40]!r}"
        return self._wrong_key()

    def _wrong_key(self) -> str | None:
        for stored in self.objects.values():
            try:
                check_key(stored.key)
            except StoreError:
                return f"an object lies at {stored.key[:80]!r}"
        return None


def lacking(record: Record) -> str | None:
    """What a record of its stage must name and this one does not."""
    stage = STAGES.get(record.stage)
    for name in stage.objects if stage and stage.read_directly else ():
        if name not in record.objects:
            return f"object {name}"
    if record.stage == "sound":
        chunks = record.facts.get("speech_chunks")
        if record.facts.get("channels") not in (1, 2):
            return "number of channels"
        if not isinstance(chunks, list) or not all(isinstance(chunk, str) for chunk in chunks):
            return "chunks of speech"
    return None


def seed_state_hash(conditioning: str, seed: int) -> str:
    """The parent of GOP 0: conditioning and seed."""
    return sha256(f"{conditioning}|{seed}".encode())
