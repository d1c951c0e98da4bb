"""Tables of titles as people send them: CSV with commas, semicolons or tabs, in UTF-8 or UTF-16, and Parquet.

The first row names columns by keys of a title. What a spreadsheet leaves behind is no mistake: empty rows and columns,
line ends of old Macs, marks of byte order. What could be read in two ways is refused.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import PurePosixPath
from types import UnionType
from typing import Union, get_args, get_origin

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.errors import InputError
from pipeline.manifest.fields import TitleFields
from pipeline.sources import urls
from pipeline.store.small_json import parse_json

MAX_TABLE = 64 << 20  # bytes, and characters of a cell
MAX_TITLES = 100_000
_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_DELIMITERS = ",;\t"
_JSON = (
    "audio",
    "prompts",
    "chapters",
    "retakes",
    "renditions",
    "face_box",
    "lip_box",
)  # columns whose cells may hold lists

Row = tuple[str, dict[str, object]]


def read_table(address: str) -> Iterator[Row]:
    """Titles of a table: where each stands, and its keys. Raises InputError with line and column of a mistake."""
    with urls.reading(address):
        fs, path = urls.file_system(address)
        if fs.size(path) > MAX_TABLE:
            raise InputError(f"larger than {MAX_TABLE >> 20} MiB; split the table")
        with fs.open(path, "rb") as file:
            content = file.read()
    name = PurePosixPath(address).name
    rows = _parquet(content) if name.lower().endswith(".parquet") else _csv(_decoded(content))
    for number, (place, row) in enumerate(rows):
        if number >= MAX_TITLES:
            raise InputError(f"more than {MAX_TITLES:,} titles; split the table")
        yield f"{name}, {place}", {key: _cell(key, value, place) for key, value in row.items() if not _empty(value)}


def _parquet(content: bytes) -> Iterator[Row]:
    try:
        table = pq.read_table(io.BytesIO(content))
    except pa.ArrowException as error:
        raise InputError(f"is no Parquet file ({str(error).splitlines()[0][:100]}); export it again") from None
    _check_names(table.column_names)
    for number, row in enumerate(table.to_pylist(), 1):
        if not all(map(_empty, row.values())):
            yield f"row {number}", {key.strip(): value for key, value in row.items()}


def _decoded(content: bytes) -> str:
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), "utf-8")
    if encoding == "utf-8" and b"\0" in content[:4]:
        encoding = "utf-16-be" if content[:1] == b"\0" else "utf-16-le"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        found = "cut in the middle of a character" if encoding != "utf-8" else f"byte {content[error.start]:#04x}"
        raise InputError(
            f"line {line} is not {encoding.removesuffix('-sig').upper()} ({found}); is it Windows-1252 or another of "
            "that kind? Save the table as CSV UTF-8"
        ) from None
    if "\0" in text:
        raise InputError("holds zero bytes: it is no table of text; save it as CSV UTF-8")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _csv(text: str) -> Iterator[Row]:
    csv.field_size_limit(MAX_TABLE)
    reader = csv.reader(io.StringIO(text), delimiter=_delimiter(text), strict=True)
    begun, names = 1, list[str]()
    try:
        for cells in reader:
            place, begun = f"line {begun}", reader.line_num + 1
            if all(map(_empty, cells)):
                continue
            if not names:
                names = [name.strip() for name in cells]
                _check_names(names)
                continue
            while len(cells) > len(names) and _empty(cells[-1]):
                cells.pop()
            if len(cells) != len(names):
                many = f"{len(cells)} where the first has {len(names)}"
                raise InputError(
                    f"{place} has not as many cells as the first line has names ({many}); correct the table"
                )
            if odd := next(
                (cell for name, cell in zip(names, cells, strict=True) if not name and not _empty(cell)), None
            ):
                raise InputError(
                    f"{place}: {odd[:40]!r} stands in a column without a name; name the column or empty it"
                )
            yield place, {name: cell for name, cell in zip(names, cells, strict=True) if name}
    except csv.Error as error:
        raise InputError(f"line {reader.line_num}: {error}; is a quote missing? Correct the table") from None


def _delimiter(text: str) -> str:
    """Which parts the first row that holds anything into most keys of a title."""
    head = next((line for line in text.split("\n") if line.strip(' ,;\t"')), "")

    def known(mark: str) -> int:
        return sum(name.strip(' "') in TitleFields.model_fields for name in head.split(mark))

    return max(_DELIMITERS, key=lambda mark: (known(mark), mark == ","))


def _check_names(names: list[str]) -> None:
    for place, name in enumerate(names):
        if name and name.strip() in [other.strip() for other in names[:place]]:
            raise InputError(f"column {place + 1}: {name.strip()!r} stands there twice; remove one of the columns")


def _empty(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _types(annotation: object) -> set[object]:
    """A type, or those of a union: what a list holds is no type of a cell."""
    return set(get_args(annotation)) if get_origin(annotation) in (Union, UnionType) else {annotation}


def _cell(key: str, value: object, place: str) -> object:
    """A cell as the manifest would have it; what does not look like it stays as it is, for the check to name."""
    if not isinstance(value, str):
        return value
    value = value.strip()
    field = TitleFields.model_fields.get(key)
    wanted = _types(field.annotation) if field else set()
    if value[:1] in "[{" and key in _JSON:
        try:
            return parse_json(value.encode())
        except (ValueError, RecursionError) as error:
            why = f"{error.msg} at character {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else "too deep"
            raise InputError(f"{place}, column {key}: {value[:40]!r} is no JSON ({why}); correct the cell") from None
    try:
        if wanted & {int, float}:
            return int(value) if int in wanted else float(value)
    except ValueError:
        return value
    if bool in wanted and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if key == "renditions":
        parts = [part.strip() for part in value.replace(",", ";").split(";")]
        return [int(part) for part in parts] if all(part.isdecimal() for part in parts) else value
    return [part.strip() for part in value.split(";")] if key == "audio" and ";" in value else value
