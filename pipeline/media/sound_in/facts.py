"""What was found in a sound file, and the bounds of what is taken for one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from pipeline.media.tags import Chapter, Tags

LOWEST_RATE, HIGHEST_RATE = 1_000, 768_000  # samples a second; telephones have 8,000, studios up to 384,000
MOST_CHANNELS = 64
LONGEST = 200 * 3600  # seconds of one file; no recording is longer, a crafted file may claim to be
MOST_GAPS = 10_000
MOST_TRACKS = 100
MIXES = ("", "lfe", "mean")
FACES = ("", "left", "right")


@dataclass(frozen=True)
class AudioFacts:
    """What the pinned decoder yields for a file: samples per channel at `rate`, gapless trim and edit lists applied,
    silence put where its time stamps have holes.

    `gaps`: (first sample of the silence in the whole, its length). `track`: which of its streams of sound. `mix`: how
    more than two channels become two: as their layout says (""), the same with the bass channel ("lfe"), or all alike
    ("mean"). `face`: the channel that drives the face, "" for the mean of both. `mended`: what is no sound was left
    out of what is decoded, or an open length filled in. `untrimmed`: as `Layout` has it. `short`: what was stated and
    is not there, in words. `notes`: what people are told. `pad`: seconds of silence that follow it in its title, as a
    fraction (`padding.py`); not of the file, and not kept with it.
    """

    samples: int
    rate: int
    channels: int
    chapters: tuple[Chapter, ...] = ()
    tags: Tags = ()
    gaps: tuple[tuple[int, int], ...] = ()
    track: int = 0
    mix: str = ""
    face: str = ""
    mended: bool = False
    untrimmed: bool = False
    short: str = ""
    notes: tuple[str, ...] = ()
    pad: tuple[int, int] = (0, 1)

    @classmethod
    def from_dict(cls, found: dict[str, Any]) -> AudioFacts:
        """From `dataclasses.asdict`, also after a way through JSON; what an earlier version did not keep is as it was
        then."""
        return cls(
            samples=found["samples"],
            rate=found["rate"],
            channels=found["channels"],
            chapters=tuple(Chapter(**chapter) for chapter in found["chapters"]),
            tags=tuple((key, value) for key, value in found["tags"]),
            gaps=tuple((place, length) for place, length in found.get("gaps", ())),
            track=found.get("track", 0),
            mix=found.get("mix", ""),
            face=found.get("face", ""),
            mended=found.get("mended", False),
            untrimmed=found.get("untrimmed", False),
            short=found.get("short", ""),
            notes=tuple(found.get("notes", ())),
        )

    @property
    def decoded(self) -> int:
        """Samples that the decoder yields, without silence that was put between them."""
        return self.samples - sum(length for _, length in self.gaps)

    def treatment(self) -> dict[str, object]:
        """What is done with the file beyond decoding it, for the hash of the sound; {} for most files."""
        names = ("gaps", "track", "mix", "face", "mended", "untrimmed")
        found = {name: value for name in names if (value := getattr(self, name))}
        return found | ({"pad": self.pad} if self.pad[0] else {})

    def kept(self) -> dict[str, object]:
        """As plain data, of the file alone; `from_dict` reads it."""
        return {name: value for name, value in asdict(self).items() if name != "pad"}
