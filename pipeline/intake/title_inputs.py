"""The files that a title names: where they stand in the manifest, how each is looked at, and what was found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pipeline.core.errors import ProblemKind
from pipeline.core.safe_text import redact
from pipeline.core.timeline import frames_of
from pipeline.manifest.catalog import Title
from pipeline.media.burn import cannot_be_drawn
from pipeline.media.canvas import is_image
from pipeline.media.sound_in.facts import AudioFacts
from pipeline.media.sound_in.padding import lengths, padded
from pipeline.media.sound_in.probe import probe
from pipeline.sources.captions import LARGEST_CAPTIONS, read_captions
from pipeline.sources.embedding import read_embedding
from pipeline.sources.inputs import LARGEST, LARGEST_PORTRAIT, SourceFile
from pipeline.sources.portrait import read_portrait, reading_of
from pipeline.store.record import Stored


@dataclass(frozen=True)
class InputFile:
    """A file at its place in a title (`audio[3]`): `read` makes facts of it, of type `kind` when remembered.

    `matter`: what a problem with it is about.
    """

    place: str
    url: str
    read: Callable[[Path], object]
    kind: type
    matter: ProblemKind
    largest: int = LARGEST


@dataclass(frozen=True)
class Inspected:
    """A file as it was read, and what is to be known of it, as plain data."""

    source: SourceFile
    facts: Any


@dataclass(frozen=True)
class TitleInputs:
    """A title's inputs as found: `facts` belong to `audio`, file by file. `extras`: further files by their key, with
    what was found in them."""

    title: Title
    portrait: SourceFile
    portrait_facts: tuple[int, int, *tuple[str, ...]]  # width, height and, if not empty, what `reading_of` says
    audio: tuple[SourceFile, ...]
    facts: tuple[AudioFacts, ...]
    face_embedding: SourceFile | None
    extras: Mapping[str, tuple[SourceFile, Any]]

    @property
    def portrait_size(self) -> tuple[int, int]:
        return self.portrait_facts[0], self.portrait_facts[1]

    @property
    def portrait_reading(self) -> str:
        return "".join(self.portrait_facts[2:])

    @property
    def canvas_reading(self) -> str:
        """The same of the picture that fills the canvas."""
        return "".join(map(str, self.extras["canvas_fill"][1][2:])) if "canvas_fill" in self.extras else ""

    @property
    def other_portraits(self) -> dict[str, tuple[SourceFile, tuple[int, int], str]]:
        """Of chapters and retakes that have one of their own, by key: file, width and height, how its numbers are
        taken."""
        found = {}
        for key in other_portraits(self.title):
            source, (width, height, *reading) = self.extras[key]
            found[key] = source, (width, height), "".join(map(str, reading))
        return found

    @property
    def joined(self) -> tuple[AudioFacts, ...]:
        """The sound files as the title plays them: with silence between chapters that are to begin at a GOP."""
        options = self.title.options
        pads = options.scenes == "chapters" and options.pad_joins == "on" and len(self.facts) > 1
        return padded(self.facts) if pads else self.facts

    @property
    def frames(self) -> int:
        return frames_of(lengths(self.joined))

    @property
    def notes(self) -> tuple[str, ...]:
        """What people are told of the sound files."""
        return tuple(note for fact in self.facts for note in fact.notes)

    @property
    def sources(self) -> tuple[SourceFile, ...]:
        return (*self.main_sources, *(source for source, _ in self.extras.values()))

    @property
    def found(self) -> tuple[Inspected, ...]:
        """Sources with their facts as plain data."""
        facts: list[object] = [list(self.portrait_facts), *(fact.kept() for fact in self.facts), None]
        main = (Inspected(source, fact) for source, fact in zip(self.main_sources, facts, strict=False))
        return (*main, *(Inspected(source, fact) for source, fact in self.extras.values()))

    @property
    def main_sources(self) -> tuple[SourceFile, ...]:
        more = (self.face_embedding,) if self.face_embedding else ()
        return (self.portrait, *self.audio, *more)


def input_files(title: Title) -> Iterator[InputFile]:
    """All files of a title, in the order of `TitleInputs.sources`."""
    yield InputFile(
        "portrait", title.portrait, partial(_portrait, url=title.portrait), list, "portrait", LARGEST_PORTRAIT
    )
    for number, url in enumerate(title.audio):
        yield InputFile(f"audio[{number}]", url, _sound, dict, "sound")
    if title.options.face_embedding:
        yield InputFile("face_embedding", title.options.face_embedding, _check_embedding, type(None), "portrait")
    for name, url in extra_urls(title).items():
        if name in other_portraits(title):
            yield InputFile(name, url, partial(_portrait, url=url), list, "portrait", LARGEST_PORTRAIT)
        elif name == "captions":
            yield InputFile(name, url, partial(_read_captions, url=url), dict, "captions", LARGEST_CAPTIONS)
        else:
            read = _portrait if name == "canvas_fill" else _size  # a cover is in no hash of pictures
            yield InputFile(name, url, partial(read, url=url), list, "picture", LARGEST_PORTRAIT)


def inputs_of(title: Title, found: Mapping[str, Inspected]) -> TitleInputs:
    """What was found of a title, by place. Raises KeyError, TypeError or ValueError where it is not what is wanted."""
    audio = [found[f"audio[{number}]"] for number in range(len(title.audio))]
    width, height, *reading = found["portrait"].facts
    return TitleInputs(
        title,
        found["portrait"].source,
        (width, height, *map(str, reading)),
        tuple(one.source for one in audio),
        tuple(AudioFacts.from_dict(one.facts) for one in audio),
        found["face_embedding"].source if title.options.face_embedding else None,
        {name: (found[name].source, found[name].facts) for name in extra_urls(title)},
    )


def extra_urls(title: Title) -> dict[str, str]:
    """Addresses of the files that a title names beside portrait, audio and embedding, by their key."""
    fill = title.options.canvas_fill
    named = {"canvas_fill": fill if is_image(fill) else None, "cover": title.options.cover, "captions": title.captions}
    return {name: url for name, url in named.items() if url} | other_portraits(title)


def other_portraits(title: Title) -> dict[str, str]:
    """Addresses of the portraits of a title's chapters and retakes, by their key (`retakes[0].portrait`)."""
    found = {portrait_key("chapters", number): one.portrait for number, one in enumerate(title.chapters)}
    found |= {portrait_key("retakes", number): one.portrait for number, one in enumerate(title.retakes)}
    return {key: url for key, url in found.items() if url}


def portrait_key(part: Literal["chapters", "retakes"], number: int) -> str:
    return f"{part}[{number}].portrait"


def stored_input(source: SourceFile) -> Stored:
    """Where an input lies in the output store: by content, shared between titles."""
    return Stored(f"_inputs/{source.sha256}", source.sha256, source.size)


def _sound(path: Path) -> dict[str, object]:
    """Also of a file that was cut off: whether it is meant is for each title to say that names it."""
    return probe(path, accept_short=True).kept()


def _read_captions(path: Path, url: str) -> dict[str, object]:
    """What must be known of captions to check them against their title."""
    notes: list[str] = []
    cues = read_captions(path, redact(url), notes.append)
    last = cues[-1]
    return {"cues": len(cues), "last": last.start, "line": last.line, "cannot_be_drawn": cannot_be_drawn(cues)} | (
        {"note": notes[0]} if notes else {}
    )


def _check_embedding(path: Path) -> None:
    read_embedding(path, path.name)


def _portrait(path: Path, url: str) -> list[object]:
    reading = reading_of(path, redact(url)) if (size := _size(path, url)) else ""
    return [*size, reading] if reading else [*size]


def _size(path: Path, url: str) -> list[int]:
    height, width, _ = read_portrait(path, redact(url)).shape
    return [width, height]
