"""What a finished title says about itself: name, author, cover, chapters. Changing it renders nothing anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction

from pipeline.core.timeline import FPS, round_half_up
from pipeline.media.tags import LONGEST_NERO_LIST, Chapter, Tags
from pipeline.store.record import Stored

METADATA_REVISION = 1  # raised when a change alters what is written around pictures and sound


@dataclass(frozen=True)
class Metadata:
    """`tags` by ffmpeg's names; `cover` and `captions` lie in the store; `language` as in BCP 47, else `und`;
    `loudness` in LUFS, None as in the source."""

    tags: Tags = ()
    cover: Stored | None = None
    captions: Stored | None = None
    chapters: tuple[Chapter, ...] = ()
    language: str = "und"
    loudness: float | None = None

    def identity(self) -> dict[str, object]:
        """All of it as plain data, files by content."""
        facts = asdict(self)
        files = {"cover": self.cover, "captions": self.captions}
        contents = {name: stored.sha256 if stored else None for name, stored in files.items()}
        more = {} if self.nero_list else {"nero_list": False}
        return facts | contents | {"revision": METADATA_REVISION} | more

    @property
    def nero_list(self) -> bool:
        """Whether the file's chapters also stand in the old list that ends at 255."""
        return len(self.chapters) <= LONGEST_NERO_LIST

    def described(self) -> dict[str, object]:
        """For reports: what people read."""
        return {
            "title": dict(self.tags).get("title"),
            "author": dict(self.tags).get("artist"),
            "language": self.language,
            "cover": self.cover.sha256 if self.cover else None,
            "captions": self.captions.sha256 if self.captions else None,
            "chapters": [asdict(chapter) for chapter in self.chapters],  # milliseconds
        }


def given_chapters(starts_and_titles: Sequence[tuple[Fraction, str]], frames: int) -> tuple[Chapter, ...]:
    """Chapters from (moment in seconds, title): each goes on to the next, the last to the end."""
    starts = [round_half_up(1000 * at) for at, _ in starts_and_titles]
    ends = [*starts[1:], frames * 1000 // FPS]
    return tuple(
        Chapter(start, end, text) for (_, text), start, end in zip(starts_and_titles, starts, ends, strict=False)
    )


def joined_tags(files: Sequence[Tags]) -> Tags:
    """Tags of a title of these sound files: of several, what all that have a tag agree on, and as title their album,
    else the title that every one of them has.

    The first file of a list may be a jingle: its name is not the book's.
    """
    if len(files) == 1:
        return files[0]
    values: dict[str, set[str]] = {}
    for tags in files:
        for name, text in tags:
            values.setdefault(name, set()).add(text)
    agreed = {name: texts.pop() for name, texts in values.items() if len(texts) == 1 and name != "track"}
    own = agreed.pop("title", None) if all("title" in dict(tags) for tags in files) else None
    title = agreed.get("album") or own
    agreed.pop("title", None)
    return tuple({**({"title": title} if title else {}), **agreed}.items())


def named(found: Tags, title: str | None, author: str | None) -> Tags:
    """The tags of the first sound file, with the title and the author that were given."""
    own = {"title": title, "artist": author}
    return tuple((dict(found) | {name: text for name, text in own.items() if text is not None}).items())
