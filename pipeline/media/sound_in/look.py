"""What the ffmpeg program tells of a file before it decodes it: streams, the length that it states, when sound begins.

Read from the program's own description of its input, which has a fixed form.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction

# Containers whose stated length is counted from what is there, so that it claims nothing.
COUNTED_FROM_THE_FILE = ("mpegts", "mpeg", "ogg", "aac", "ac3", "eac3", "amr", "mp3", "amrnb", "amrwb")
_STREAM = re.compile(r"^  Stream #0:(\d+)(?:\[[^\]]*\])?(?:\(\w+\))?: (Audio|Video|Subtitle|Data|Attachment)(.*)$")
_CLOCK = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")
_LAYOUT = re.compile(r", \d+ Hz, ([^,]+),")


@dataclass(frozen=True)
class Stream:
    """One stream of sound: its place among the file's streams of sound, whether it is the default, the time of its
    first packet and how long it says that it lasts (0: nothing said) in seconds, and the layout of its channels
    (`9 channels` where it has no name)."""

    number: int
    default: bool
    start: Fraction
    lasts: Fraction
    layout: str
    language: str


@dataclass(frozen=True)
class Look:
    """`length`: stated for the whole file in seconds, 0 where it is none or a guess; its clock begins at `start`.
    `alone`: nothing but sound and covers is in it. `guessed`: the streams of sound whose channels had to be guessed."""

    format: str
    start: Fraction
    length: Fraction
    streams: tuple[Stream, ...]
    alone: bool
    guessed: frozenset[int]

    @property
    def heard(self) -> Stream:
        """The stream that is heard: the default one, else the first."""
        return next((one for one in self.streams if one.default), self.streams[0])

    @property
    def begins(self) -> Fraction | None:
        """Seconds of the file's clock at which that stream begins; None where it is all there is and begins it."""
        if self.alone and len(self.streams) == 1:
            return None
        return max(Fraction(0), self.heard.start - self.start)

    def stated(self) -> Fraction:
        """Seconds that the stream that is heard is said to last, 0 where nothing is said of it."""
        last = self.heard.lasts or (self.length if self.alone and len(self.streams) == 1 else Fraction(0))
        return max(Fraction(0), last - max(self.start, Fraction(0)))


def _seconds(text: str) -> Fraction:
    found = _CLOCK.search(text)
    return Fraction(int(found[1]) * 3600 + int(found[2]) * 60) + Fraction(found[3]) if found else Fraction(0)


def read_look(said: str) -> Look:
    """From what the program prints about its first input."""
    lines = said.splitlines()
    kind = next((line.split(", from ")[0].partition(", ")[2] for line in lines if line.startswith("Input #0, ")), "")
    length = start = Fraction(0)
    if times := next((line for line in lines if line.startswith("  Duration: ")), ""):
        length = _seconds(times.partition(", ")[0])
        start = Fraction(found[1]) if (found := re.search(r", start: (-?[0-9.]+)", times)) else start
    estimated = any(
        "Estimating duration from bitrate" in line or "using bitrate for duration" in line for line in lines
    )
    streams: list[Stream] = []
    places: list[int] = []  # of the streams of sound among all
    alone, sound = True, False
    for line in lines:
        if found := _STREAM.match(line):
            sound = found[2] == "Audio"
            if sound:
                places.append(int(found[1]))
                begins = re.search(r", start ([0-9.]+)", found[3])
                layout, language = _LAYOUT.search(found[3]), re.search(r"\((\w+)\): Audio", line)
                streams.append(
                    Stream(
                        len(streams), "(default)" in found[3], Fraction(begins[1]) if begins else Fraction(0),
                        Fraction(0), layout[1] if layout else "",
                        language[1] if language and language[1] != "und" else "",
                    )
                )  # fmt: skip
            elif found[2] == "Video":
                alone = alone and "(attached pic)" in found[3]
        elif sound and re.match(r"^      DURATION +: ", line):
            last = streams[-1]
            streams[-1] = replace(last, lasts=_seconds(line))
    kinds = kind.split(",")
    if estimated or any(name in COUNTED_FROM_THE_FILE for name in kinds):
        length = Fraction(0)
    guesses = re.findall(r"^\[aist#0:(\d+)/.*Guessed Channel Layout", said, re.MULTILINE)
    guessed = frozenset(places.index(int(place)) for place in guesses if int(place) in places)
    return Look(kind, start, length, tuple(streams), alone, guessed)
