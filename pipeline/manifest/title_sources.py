"""`titles_from`: titles that stand in tables or follow from the files of a folder, put into the manifest's own list.

A table's columns are the keys of a title. Of a pattern every file that matches is the audio of one title, its id made
of its name. A title in `titles` with the id of one that came from elsewhere overrides single keys of it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePosixPath

from pipeline.core.errors import InputError
from pipeline.manifest.matching import matching
from pipeline.manifest.table import read_table
from pipeline.manifest.yaml_text import Loc, Parsed, YamlProblem, shown
from pipeline.sources import urls

Holds = Callable[[str, str], bool]


def add_titles(parsed: Parsed, source: str, holds: Holds = lambda title, address: False) -> dict[int, str]:
    """Put the titles of `titles_from` before the manifest's own; where those of tables stand, by place in the list.

    `holds`: whether the output has a title of that id, made of the file at that address.

    Faults are added to `parsed`. What is not of the form that `manifest_fields` asks for is left to its check.
    """
    data = parsed.data
    if not isinstance(data, dict) or not isinstance(data.get("titles_from"), list):
        return {}
    own = data.get("titles", [])
    if not isinstance(own, list):
        return {}
    found: list[dict[str, object]] = []
    origins: list[str] = []
    lines: list[int] = []
    for number, entry in enumerate(data["titles_from"]):
        loc: Loc = ("titles_from", number)
        line = parsed.lines.get(loc, parsed.lines.get(("titles_from",), 1))
        if not isinstance(entry, dict):
            continue
        kinds = [kind for kind in ("table", "glob") if isinstance(entry.get(kind), str)]
        if len(kinds) != 1:
            parsed.faults.append(YamlProblem(line, loc, "expected either `table` or `glob`", "give one of them"))
            continue
        rest = {name: value for name, value in entry.items() if name not in ("table", "glob")}
        try:
            address = urls.resolve(entry[kinds[0]], source)
            titles = list(read_table(address) if kinds[0] == "table" else matching(address, holds))
        except (InputError, ValueError, OSError) as error:
            parsed.faults.append(YamlProblem(line, (*loc, kinds[0]), f"value {shown(entry[kinds[0]])}: {error}"))
            continue
        if not titles:
            text = f"value {shown(entry[kinds[0]])}: holds no title"
            parsed.faults.append(YamlProblem(line, (*loc, kinds[0]), text, "check the address"))
        for origin, title in titles:
            found.append({**{name: _with_name(value, title) for name, value in rest.items()}, **title})
            origins.append(origin)
            lines.append(line)
    _merge(parsed, found, own, lines)
    return dict(enumerate(origins))


def _merge(parsed: Parsed, found: list[dict[str, object]], own: list[object], lines: list[int]) -> None:
    places = {title.get("id"): place for place, title in enumerate(found)}
    later: list[object] = []
    moved: dict[Loc, int] = {}
    lines_of: dict[object, list[tuple[Loc, int]]] = {}  # of each title, by its number
    for loc, line in parsed.lines.items():
        if loc[:1] == ("titles",) and len(loc) > 1:
            lines_of.setdefault(loc[1], []).append((loc[2:], line))
    for number, title in enumerate(own):
        place = places.get(title.get("id")) if isinstance(title, dict) and isinstance(title.get("id"), str) else None
        if place is None or not isinstance(title, dict):
            target = len(found) + len(later)
            later.append(title)
        else:
            target = place
            found[place] |= title
        for rest, line in lines_of.get(number, ()):
            moved[("titles", target, *rest)] = line
    kept = {loc: line for loc, line in parsed.lines.items() if loc[:1] != ("titles",)}
    parsed.lines = kept | {("titles",): parsed.lines.get(("titles",), parsed.lines.get(("titles_from",), 1))}
    parsed.lines |= {("titles", place): line for place, line in enumerate(lines)} | moved
    parsed.data["titles"] = [*found, *later]


def _with_name(value: object, title: dict[str, object]) -> object:
    """`{name}` in a text is the name of the file that the title was made from."""
    name = PurePosixPath(str(title.get("audio", ""))).stem
    return value.replace("{name}", name) if isinstance(value, str) else value
