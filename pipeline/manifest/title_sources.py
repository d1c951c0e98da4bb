"""`titles_from`: titles that stand in tables or follow from the files of a folder, put into the manifest's own list.

A table's columns are the keys of a title. Of a pattern every file that matches is the audio of one title, its id made
of its name. A title in `titles` with the id of one that came from elsewhere overrides single keys of it.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, get_args

import pyarrow.parquet as pq

from pipeline.core.csv_text import read_csv
from pipeline.core.errors import InputError
from pipeline.manifest.fields import TitleFields
from pipeline.manifest.yaml_text import Fault, Loc, Parsed, shown
from pipeline.sources import urls
from pipeline.store.small_json import parse_json

MAX_TABLE = 64 << 20  # bytes
MAX_TITLES = 100_000


def add_titles(parsed: Parsed, source: str) -> dict[int, str]:
    """Put the titles of `titles_from` before the manifest's own; where those of tables stand, by place in the list.

    Faults are added to `parsed`. What is not of the form that `manifest_fields` asks for is left to its check.
    """
    data = parsed.data
    if not isinstance(data, dict) or not isinstance(data.get("titles_from"), list):
        return {}
    own = data.get("titles", [])
    if not isinstance(own, list):
        return {}
    found: list[dict[str, Any]] = []
    origins: list[str] = []
    lines: list[int] = []
    for number, entry in enumerate(data["titles_from"]):
        loc: Loc = ("titles_from", number)
        line = parsed.lines.get(loc, parsed.lines.get(("titles_from",), 1))
        if not isinstance(entry, dict):
            continue
        kinds = [kind for kind in ("table", "glob") if isinstance(entry.get(kind), str)]
        if len(kinds) != 1:
            parsed.faults.append(Fault(line, loc, "expected either `table` or `glob`; give one of them"))
            continue
        rest = {name: value for name, value in entry.items() if name not in ("table", "glob")}
        try:
            address = urls.resolve(entry[kinds[0]], source)
            titles = list(_rows(address) if kinds[0] == "table" else _files(address))
        except (InputError, ValueError, OSError) as error:
            parsed.faults.append(Fault(line, (*loc, kinds[0]), f"value {shown(entry[kinds[0]])}: {error}"))
            continue
        if not titles:
            text = f"value {shown(entry[kinds[0]])}: holds no title; check the address"
            parsed.faults.append(Fault(line, (*loc, kinds[0]), text))
        for origin, title in titles:
            found.append({**{name: _with_name(value, title) for name, value in rest.items()}, **title})
            origins.append(origin)
            lines.append(line)
    _merge(parsed, found, own, lines)
    return dict(enumerate(origins))


def _merge(parsed: Parsed, found: list[dict[str, Any]], own: list[Any], lines: list[int]) -> None:
    places = {title.get("id"): place for place, title in enumerate(found)}
    later: list[Any] = []
    moved: dict[Loc, int] = {}
    lines_of: dict[object, list[tuple[Loc, int]]] = {}  # of each title, by its number
    for loc, line in parsed.lines.items():
        if loc[:1] == ("titles",) and len(loc) > 1:
            lines_of.setdefault(loc[1], []).append((loc[2:], line))
    for number, title in enumerate(own):
        place = places.get(title.get("id")) if isinstance(title, dict) and isinstance(title.get("id"), str) else None
        if place is None:
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


def _with_name(value: Any, title: dict[str, Any]) -> Any:
    """`{name}` in a text is the name of the file that the title was made from."""
    name = PurePosixPath(str(title.get("audio", ""))).stem
    return value.replace("{name}", name) if isinstance(value, str) else value


def _files(pattern: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Titles of the files that match, in order of their names."""
    with urls.reading(pattern):
        fs, path = urls.file_system(pattern)
        paths = sorted(fs.glob(path))
    if len(paths) > MAX_TITLES:
        raise InputError(f"{len(paths):,} files match, expected at most {MAX_TITLES:,}; split the pattern")
    for one in paths:
        name = re.sub(r"[^a-z0-9._-]+", "-", PurePosixPath(one).stem.lower()).lstrip("._-").rstrip(".-")
        address = one if urls.is_local(pattern) else fs.unstrip_protocol(one)
        yield PurePosixPath(one).name, {"id": name[:100], "audio": address}


def _rows(address: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Titles of a table: where each stands, and its keys."""
    with urls.reading(address):
        fs, path = urls.file_system(address)
        if fs.size(path) > MAX_TABLE:
            raise InputError(f"larger than {MAX_TABLE >> 20} MiB; split the table")
        with fs.open(path, "rb") as file:
            content = file.read()
    name = PurePosixPath(address).name
    if name.lower().endswith(".parquet"):
        rows: Any = enumerate(pq.read_table(io.BytesIO(content)).to_pylist(), 1)
        where = "row"
    else:
        _, rows = read_csv(content.decode("utf-8-sig"))
        where = "line"
    for number, (place, row) in enumerate(rows):
        if number >= MAX_TITLES:
            raise InputError(f"more than {MAX_TITLES:,} titles; split the table")
        if None in row or (None in row.values() and where == "line"):
            raise InputError(f"{where} {place} has not as many cells as the first line has names; correct the table")
        yield (
            f"{name}, {where} {place}",
            {str(key).strip(): _cell(str(key).strip(), value) for key, value in row.items() if value not in (None, "")},
        )


def _cell(key: str, value: Any) -> Any:
    """A cell as the manifest would have it; what does not look like it stays as it is, for the check to name."""
    if not isinstance(value, str):
        return value
    field = TitleFields.model_fields.get(key)
    wanted = {field.annotation, *get_args(field.annotation)} if field else set()
    try:
        if wanted & {int, float}:
            return int(value) if int in wanted else float(value)
        if bool in wanted and value.lower() in ("true", "false"):
            return value.lower() == "true"
        if value[:1] in "[{" and key in ("audio", "prompts", "face_box", "lip_box"):
            return parse_json(value.encode())
    except ValueError:
        return value
    return [part.strip() for part in value.split(";")] if key == "audio" and ";" in value else value
