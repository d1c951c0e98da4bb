"""Titles of which nothing is known but their length: a table of ids and lengths, for forecasts. No input is read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from math import ceil

from models.families.protocol import Family
from pipeline.core.errors import InputError, UserError
from pipeline.core.timeline import FPS
from pipeline.intake.survey import plan_title
from pipeline.intake.title_inputs import TitleInputs
from pipeline.manifest.catalog import Catalog, Title
from pipeline.manifest.fields import MAX_SECONDS, moment
from pipeline.manifest.options import complete
from pipeline.manifest.table import read_table
from pipeline.media.sound_in.facts import AudioFacts
from pipeline.sources.inputs import SourceFile
from pipeline.store.digests import sha256
from pipeline.titles.title_plan import TitlePlan

_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_NUMBER = re.compile(r"[0-9]{1,7}(\.[0-9]{1,6})?")
_RATE = 16_000  # samples a second of the sound that is made up
_PORTRAIT = (1024, 1024)


def read_lengths(path: str) -> dict[str, int]:
    """Frames by id. Raises UserError that names the line."""
    found: dict[str, int] = {}
    try:
        for place, row in read_table(path):
            name, frames = _row(row, f"--lengths {place}")
            if name in found:
                raise UserError(f"--lengths {place}: id {name!r} stands there twice; give every title an id of its own")
            found[name] = frames
    except InputError as error:
        raise UserError(f"--lengths {path}: {error}") from None
    if not found:
        raise UserError(f"--lengths {path}: no titles; expected lines such as chapter-01,10:00:00 below id,length")
    return found


def _row(row: Mapping[str, object], where: str) -> tuple[str, int]:
    if unknown := sorted(row.keys() - {"id", "length"}):
        raise UserError(f"{where}: unknown column {unknown[0]!r}; the first line names the columns: id,length")
    name, length = str(row.get("id", "")), str(row.get("length", ""))
    if not _ID.fullmatch(name):
        raise UserError(
            f"{where}: id {name!r}: expected lower-case letters, digits, '.', '_' and '-', at most 100 characters"
        )
    try:
        seconds = moment(float(length) if _NUMBER.fullmatch(length) else length)
    except ValueError:
        seconds = moment(0)
    if not 0 < seconds <= MAX_SECONDS:
        raise UserError(f"{where}: length {length!r}: expected seconds or h:mm:ss above 0, such as 36000 or 10:00:00")
    return name, ceil(seconds * FPS)


def plans_of(lengths: Mapping[str, int], family: Family, catalog: Catalog | None = None) -> Iterator[TitlePlan]:
    """Plans of as many frames. Options are those of the manifest's title of that id, else of its first title."""
    named = {title.id: title for title in catalog.titles} if catalog else {}
    first = next(iter(named.values()), None)
    for name, frames in lengths.items():
        model = named.get(name, first)
        options = model.options if model else complete({}, family)
        title = Title(name, "", ("",), (), 0, model.priority if model else 0, options)
        # Hashes are of content, of which there is none: two titles must not look like one.
        source = SourceFile("", sha256(name.encode()), 1, "")
        sound = AudioFacts(frames * _RATE // FPS, _RATE, 1)
        yield plan_title(family, TitleInputs(title, source, _PORTRAIT, (source,), (sound,), None, {}))
