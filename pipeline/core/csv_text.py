"""Tables as text: CSV with fields of any length, such as a compiler's message of a megabyte."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

LONGEST = 1 << 26  # characters of a field: as many as the largest table that is read has bytes


class NotCSV(ValueError):
    """A text that is no table; the message says where."""


def read_csv(text: str) -> tuple[list[str], Iterator[tuple[int, dict[str | None, str | None]]]]:
    """Names of the columns, and the rows with the lines that they end in, as csv.DictReader gives them.

    Both raise NotCSV.
    """
    csv.field_size_limit(LONGEST)  # one limit holds in the whole process, and begins at 131,072
    reader = csv.DictReader(io.StringIO(text))
    try:
        names = list(reader.fieldnames or ())
    except csv.Error as error:
        raise NotCSV(f"line {reader.line_num}: {error}") from None

    def rows() -> Iterator[tuple[int, dict[str | None, str | None]]]:
        try:
            for row in reader:
                yield reader.line_num, row
        except csv.Error as error:
            raise NotCSV(f"line {reader.line_num}: {error}") from None

    return names, rows()
