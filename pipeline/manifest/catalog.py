"""The manifest: YAML in, a frozen catalog out, or every mistake at once with its line and key."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, BinaryIO, Literal

from pipeline.core.errors import InputError, LongtakeError, ManifestError, Problem, ProblemKind
from pipeline.core.safe_text import redact
from pipeline.core.timeline import FPS
from pipeline.manifest import check as manifest_check
from pipeline.manifest.fields import moment
from pipeline.manifest.option_fields import options_entering
from pipeline.manifest.options import FamilyFacts, Options, complete
from pipeline.manifest.title_sources import add_titles
from pipeline.manifest.yaml_text import MAX_BYTES, Parsed, YamlProblem, key_path, parse_yaml
from pipeline.sources import urls, web
from pipeline.store.opening import open_store
from pipeline.store.small_json import get_json

__all__ = [
    "Catalog",
    "Chapter",
    "Options",
    "Prompt",
    "Retake",
    "Title",
    "check_moments",
    "load_manifest",
    "load_valid_titles",
    "options_entering",
]

_ID = re.compile(r"[a-z0-9][a-z0-9._\-]{0,99}")
MOST_PROBLEMS = 500  # listed; a file with more is damaged as a whole

Place = Callable[[str], str]


@dataclass(frozen=True)
class Prompt:
    """`text` holds from `at` (exact seconds) until the next one, from the clip that contains it on."""

    at: Fraction
    text: str


@dataclass(frozen=True)
class Chapter:
    """`at`: exact seconds. `portrait`: who speaks in it, None for the title's own."""

    at: Fraction
    title: str
    portrait: str | None = None


@dataclass(frozen=True)
class Retake:
    """What is to be made once more, from `start` to `stop` (exact seconds of the title).

    `seed`, `prompts`, `portrait`: None for the title's own.
    """

    start: Fraction
    stop: Fraction
    seed: int | None = None
    prompts: tuple[Prompt, ...] | None = None
    portrait: str | None = None


@dataclass(frozen=True)
class Title:
    """One video to make. `portrait`, `audio` and `captions` are absolute paths or URLs.

    `key` is its place, `titles[3]`.
    """

    id: str
    portrait: str
    audio: tuple[str, ...]
    prompts: tuple[Prompt, ...]
    seed: int
    priority: int
    options: Options
    title: str | None = None
    chapters: tuple[Chapter, ...] = ()
    captions: str | None = None
    retakes: tuple[Retake, ...] = ()
    key: str = field(default="titles[0]", compare=False)


@dataclass(frozen=True)
class Catalog:
    """A checked manifest. `weights` None means the family's own; `output_given` is the output as it was written.

    Addresses may hold credentials: show them only through `redact`.
    """

    source: str
    output: str
    family: str
    weights: str | None
    titles: tuple[Title, ...]
    output_given: str
    named: frozenset[str] = frozenset()
    """The ids of all titles of the file, also of those that are left out here."""
    warnings: tuple[Problem, ...] = ()
    """What can be read, but may have been meant otherwise."""
    problems: tuple[Problem, ...] = ()
    """Why titles of the file are left out here (`load_valid_titles`)."""
    allow_hosts: tuple[str, ...] = ()
    """Hosts on private networks that this manifest may name though it came from elsewhere."""
    lines: Mapping[str, int] = field(default_factory=dict, repr=False, compare=False)

    def place(self, key: str) -> str:
        """`file:line: key` of a key such as `titles[3].audio[0]`; the nearest enclosing line where it has none."""
        nearest = key
        while nearest and nearest not in self.lines:
            nearest = nearest[: max(nearest.rfind("."), nearest.rfind("["), 0)]
        return f"{redact(self.source)}:{self.lines.get(nearest, 1)}: {key}"

    def limit_reach(self) -> None:
        """From now on this process reads from the hosts that this manifest may name."""
        _limit_reach(self.source, self.allow_hosts)


def load_manifest(
    url: str | os.PathLike[str],
    *,
    families: Mapping[str, FamilyFacts],
    output: str | None = None,
    allow_hosts: Sequence[str] = (),
) -> Catalog:
    """The catalog at a path or URL. `output` wins over the manifest's and is relative to the working folder.

    `allow_hosts`: hosts on private networks that a manifest from elsewhere may name; one on a disk here may name any.

    Raises ManifestError with every problem found, in the order of the file.
    """
    catalog, problems = load_valid_titles(url, families=families, output=output, allow_hosts=allow_hosts)
    if problems:
        raise ManifestError(problems)
    return catalog


def load_valid_titles(
    url: str | os.PathLike[str],
    *,
    families: Mapping[str, FamilyFacts],
    output: str | None = None,
    allow_hosts: Sequence[str] = (),
) -> tuple[Catalog, list[Problem]]:
    """As `load_manifest`, but titles with mistakes are left out and their problems returned.

    Raises ManifestError where a mistake concerns the whole manifest, or no title is left.
    """
    source = os.fspath(url)
    web.limit_reach(public_only=False)  # the manifest's own address was given by the user
    text = _read(source)
    _limit_reach(source, allow_hosts)
    parsed = parse_yaml(text)
    origins = add_titles(parsed, source, _held(parsed, source, output))
    checked = manifest_check.check(parsed, source, families, output)
    ids = _ids(parsed.data)
    problems = _problems(source, _explained(checked.faults, parsed.warnings), origins, ids)
    lost = {fault.loc[1] for fault in checked.faults if len(fault.loc) > 1 and fault.loc[0] == "titles"}
    whole = any(fault.loc[:1] != ("titles",) or len(fault.loc) < 2 for fault in checked.faults)
    if whole or lost.issuperset(checked.titles):
        raise ManifestError(problems)
    family = families[checked.family]
    titles = tuple(_title(given, index, family) for index, given in checked.titles.items() if index not in lost)
    catalog = Catalog(
        source=source,
        output=checked.output,
        family=checked.family,
        weights=checked.weights,
        titles=titles,
        output_given=output if output is not None else str(parsed.data["output"]),
        named=frozenset(str(given.get("id")) for given in checked.titles.values()),
        warnings=tuple(_problems(source, parsed.warnings, origins, ids)),
        problems=tuple(problems),
        allow_hosts=tuple(allow_hosts),
        lines={key_path(loc): line for loc, line in parsed.lines.items()},
    )
    return catalog, problems


def _limit_reach(source: str, allow_hosts: Sequence[str]) -> None:
    web.limit_reach(public_only=urls.protocol_of(source) not in ("file", "memory"), hosts=allow_hosts)


def _held(parsed: Parsed, source: str, output: str | None) -> Callable[[str, str], bool]:
    """Whether the output holds a title of an id, made of the file at an address; looked up only when asked."""
    given = parsed.data.get("output") if isinstance(parsed.data, dict) else None

    def holds(title: str, address: str) -> bool:
        try:
            where = os.path.abspath(output) if output and urls.is_local(output) else output
            where = where or (urls.resolve(given, source) if isinstance(given, str) else None)
            if where is None or (urls.is_local(where) and not os.path.isdir(urls.local_path(where))):
                return False
            files = get_json(open_store(where), f"{title}/inputs.json")["files"]
            return any(one["url"] == redact(address) for one in files)
        except (LongtakeError, ValueError, KeyError, TypeError):
            return False

    return holds


def check_moments(title: Title, frames: int, where: Place) -> list[Problem]:
    """Prompts, chapters and retakes that lie beyond the end of a title of `frames` frames. `where`: `Catalog.place`."""
    end = Fraction(frames, FPS)
    return [
        Problem(
            where(f"{title.key}.{key}"),
            f"value {_clock(at)}: the title ends at {_clock(end)}; expected an earlier moment",
            f"move or remove the {kind.removesuffix('s')}",
            kind=kind,
            title=title.id,
        )
        for kind, key, at in _moments(title)
        if at > end or (at == end and not key.endswith(".to"))
    ]


def _moments(title: Title) -> Iterator[tuple[Literal["prompts", "chapters", "retakes"], str, Fraction]]:
    """(What it is, its key in the title, the moment.)"""
    for index, prompt in enumerate(title.prompts):
        yield "prompts", f"prompts[{index}].at", prompt.at
    for index, chapter in enumerate(title.chapters):
        yield "chapters", f"chapters[{index}].at", chapter.at
    for index, retake in enumerate(title.retakes):
        yield "retakes", f"retakes[{index}].from", retake.start
        yield "retakes", f"retakes[{index}].to", retake.stop
        for number, prompt in enumerate(retake.prompts or ()):
            yield "prompts", f"retakes[{index}].prompts[{number}].at", prompt.at


def seed_of(title_id: str) -> int:
    """The seed of a title without one: 63 bits of the SHA-256 of its id."""
    return int.from_bytes(hashlib.sha256(title_id.encode()).digest()[:8], "big") >> 1


def _read(source: str) -> bytes:
    name = redact(source)
    try:
        if fault := urls.check_address(source):
            raise InputError(fault)
        with urls.reading(source), urls.open_whole(source) as file:
            return _read_up_to(file, MAX_BYTES + 1)
    except InputError as error:
        text = error.text if error.place in ("", name) else f"{error.place}: {error.text}"
        raise ManifestError([Problem(name, f"manifest: {text}", error.remedy, kind="manifest")]) from error


def _read_up_to(file: BinaryIO, most: int) -> bytes:
    """At most so many bytes; a stream may hand out fewer than it is asked for."""
    parts, left = [], most
    while left > 0 and (chunk := file.read(left)):
        parts.append(chunk)
        left -= len(chunk)
    return b"".join(parts)


_KINDS: Mapping[str | int, ProblemKind] = {"output": "output", "--output": "output", "weights": "weights"}


def _problems(
    source: str, faults: Sequence[YamlProblem], origins: Mapping[int, str], ids: Mapping[int, str]
) -> list[Problem]:
    name, ordered = redact(source), sorted(dict.fromkeys(faults), key=lambda fault: fault.line)
    problems = [
        Problem(
            ":".join(filter(None, (name, str(fault.line or ""), f" {key_path(fault.loc)}".rstrip()))),
            fault.text if fault.remedy else fault.text + _origin(fault, origins),
            fault.remedy and fault.remedy + _origin(fault, origins),
            kind=_KINDS.get(fault.loc[0] if fault.loc else "", "manifest"),
            title=_of_title(fault, ids),
        )
        for fault in ordered[:MOST_PROBLEMS]
    ]
    if len(ordered) > MOST_PROBLEMS:
        text = f"{len(ordered) - MOST_PROBLEMS} more problems"
        problems.append(Problem(name, text, "correct these first", kind="manifest"))
    return problems


def _explained(faults: Sequence[YamlProblem], warnings: Sequence[YamlProblem]) -> list[YamlProblem]:
    """Faults, with what may have led to them."""
    found = {warning.loc: warning.text for warning in warnings}
    return [
        replace(one, remedy=f"{one.remedy}; {found[one.loc]}" if one.remedy else found[one.loc])
        if one.loc in found
        else one
        for one in faults
    ]


def _origin(fault: YamlProblem, origins: Mapping[int, str]) -> str:
    """Where a title from a table stands: its line in the manifest is that of the table's address."""
    return f" ({place})" if (place := _of_title(fault, origins)) else ""


def _ids(data: object) -> dict[int, str]:
    """The ids of titles by their place in the list, also of titles with mistakes; not those that can be none."""
    titles = data.get("titles") if isinstance(data, dict) else None
    given = enumerate(titles if isinstance(titles, list) else ())
    found = ((index, title.get("id")) for index, title in given if isinstance(title, dict))
    return {index: name for index, name in found if isinstance(name, str) and _ID.fullmatch(name)}


def _of_title(fault: YamlProblem, known: Mapping[int, str]) -> str:
    """What is known of the title that a fault is in, by its place in the list."""
    place = fault.loc[1] if len(fault.loc) > 1 and fault.loc[0] == "titles" else None
    return known.get(place, "") if isinstance(place, int) else ""


def _title(given: Mapping[str, Any], index: int, family: FamilyFacts) -> Title:
    return Title(
        id=given["id"],
        portrait=given["portrait"],
        audio=tuple(given["audio"]),
        prompts=_prompts(given.get("prompts", ())),
        seed=given.get("seed", seed_of(given["id"])),
        priority=given.get("priority", 0),
        options=complete(given["options"], family),
        title=given.get("title"),
        chapters=tuple(
            Chapter(moment(one["at"]), one["title"], one.get("portrait")) for one in given.get("chapters", ())
        ),
        captions=given.get("captions"),
        retakes=tuple(map(_retake, given.get("retakes", ()))),
        key=key_path(("titles", index)),
    )


def _prompts(given: Sequence[Mapping[str, Any]]) -> tuple[Prompt, ...]:
    return tuple(Prompt(moment(prompt["at"]), prompt["text"]) for prompt in given)


def _retake(given: Mapping[str, Any]) -> Retake:
    prompts = _prompts(given["prompts"]) if "prompts" in given else None
    return Retake(moment(given["from"]), moment(given["to"]), given.get("seed"), prompts, given.get("portrait"))


def _clock(seconds: Fraction) -> str:
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60}:{minutes % 60:02}:{rest // 1000:02}.{rest % 1000:03}"
