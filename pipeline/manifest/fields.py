"""The keys of a manifest as pydantic models: one description for checking, for the JSON schema and for the docs."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from difflib import get_close_matches
from fractions import Fraction
from typing import Annotated, Any, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    WithJsonSchema,
    create_model,
)

from pipeline.manifest.option_fields import OptionFields
from pipeline.manifest.option_types import Line
from pipeline.manifest.yaml_text import Loc, shown
from pipeline.media.tags import MOST_CHAPTERS

MAX_SECONDS = 3_600_000  # a thousand hours
MAX_TEXT = 500
MOST_RETAKES = 1000  # of a title
MOMENT = 'seconds from the start (12.5) or "H:MM:SS.mmm"'
OTHER_NAMES = {"h265": "hevc", "x265": "hevc", "avc": "h264", "x264": "h264", "svtav1": "av1"}  # of codecs
_CLOCK = re.compile(r"([0-9]{1,4}):([0-5][0-9]):([0-5][0-9])(\.[0-9]{1,6})?")
_CLOCK_SCHEMA = r"^[0-9]{1,4}:[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?$"


def moment(value: object) -> Fraction:
    """Exact seconds of a number, taken as the decimal that was written, or of `H:MM:SS.mmm`."""
    if isinstance(value, str) and (match := _CLOCK.fullmatch(value)):
        hours, minutes, seconds, part = match.groups()
        return int(hours) * 3600 + int(minutes) * 60 + int(seconds) + Fraction(f"0{part or ''}")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError
    if not 0 <= value <= MAX_SECONDS:
        raise ValueError
    return Fraction(repr(value))


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def key(expected: str, description: str, **rules: Any) -> Any:
    """A key that is no option. None stands for one that was not given; who needs it says so."""
    return Field(default=None, description=description, json_schema_extra={"expected": expected}, **rules)


Address = Annotated[str, Field(min_length=1, max_length=4096)]
Moment = Annotated[
    Fraction,
    PlainValidator(moment),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": MAX_SECONDS},
                {"type": "string", "pattern": _CLOCK_SCHEMA},
            ]
        }
    ),
]
Audio = Annotated[
    Annotated[list[Address], Field(min_length=1, max_length=10_000)],
    BeforeValidator(_listed),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1, "maxLength": 4096},
                {
                    "type": "array",
                    "items": {"type": "string", "minLength": 1, "maxLength": 4096},
                    "minItems": 1,
                    "maxItems": 10_000,
                },
            ]
        }
    ),
]


class PromptFields(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    at: Moment = key(MOMENT, "When the prompt begins to hold: seconds, or H:MM:SS.mmm.")
    text: Line = key(
        f"1 to {MAX_TEXT} characters on one line, without control characters", "What the portrait is to express."
    )


class ChapterFields(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    at: Moment = key(MOMENT, "When the chapter begins: seconds, or H:MM:SS.mmm.")
    title: Line = key(f"1 to {MAX_TEXT} characters on one line, without control characters", "What it is called.")
    portrait: Address = key(
        "the path or URL of one picture", "Who speaks in it, with scenes: chapters; the title's portrait if not given."
    )


# Made by a function, since `from` cannot be the name of an attribute.
RetakeFields = create_model(
    "RetakeFields",
    __config__=ConfigDict(extra="forbid", strict=True),
    **{
        "from": (Moment, key(MOMENT, "From where it is to be made once more: seconds, or H:MM:SS.mmm.")),
        "to": (Moment, key(MOMENT, "Up to where: seconds, or H:MM:SS.mmm.")),
        "seed": (
            int,
            key(
                "a whole number from 0 to 2^63 - 1",
                "Seed of its random numbers; the title's where not given.",
                ge=0,
                le=2**63 - 1,
            ),
        ),
        "portrait": (
            Address,
            key("the path or URL of one picture", "Who speaks there; the title's portrait where not given."),
        ),
        "prompts": (
            list[PromptFields],
            key(
                "a list of {at, text}", "Texts that steer expression there, by the title's time; its own if not given."
            ),
        ),
    },  # type: ignore[call-overload]
)


class TitleFields(OptionFields):
    id: str = key(
        "lower-case letters, digits, '.', '_' and '-', beginning with a letter or digit, at most 100 characters",
        "Names the title and its folder in the output; unique in the manifest.",
        pattern=r"^[a-z0-9][a-z0-9._\-]*$",
        max_length=100,
    )
    portrait: str = key(
        "the path or URL of one picture",
        "Picture of the face: PNG, JPEG or WebP; path or URL.",
        min_length=1,
        max_length=4096,
    )
    audio: Audio = key(
        "the path or URL of an audio file, or a list of them", "Speech: one file, or a list joined without gaps."
    )
    title: Line = key(
        f"1 to {MAX_TEXT} characters on one line, without control characters",
        "What the video is called; the sound file's own where not given.",
    )
    chapters: list[ChapterFields] = key(
        "a list of {at, title}",
        "Chapters in order of time; those of the sound files where not given.",
        max_length=MOST_CHAPTERS,
    )
    captions: Address = key(
        "the path or URL of a SubRip (.srt) or WebVTT (.vtt) file", "What is said, as a text track: SubRip or WebVTT."
    )
    prompts: list[PromptFields] = key("a list of {at, text}", "Texts that steer expression, in order of time.")
    retakes: list[RetakeFields] = key(  # type: ignore[valid-type]
        "a list of {from, to}",
        "Parts of the title that are made once more, in order of time; all else stays as it is.",
        max_length=MOST_RETAKES,
    )
    seed: int = key(
        "a whole number from 0 to 2^63 - 1",
        "Seed of all random numbers of the title; taken from the id where not given.",
        ge=0,
        le=2**63 - 1,
    )
    priority: int = key(
        "a whole number from -1000 to 1000",
        "Titles of higher priority are rendered first; 0 where not given.",
        ge=-1000,
        le=1000,
    )


class SourceFields(OptionFields):
    table: str = key(
        "the path or URL of a CSV or Parquet file",
        "A table of titles: its columns are the keys of a title.",
        min_length=1,
        max_length=4096,
    )
    glob: str = key(
        "a path or URL with * in it",
        "Audio files, each of which becomes a title named by its file.",
        min_length=1,
        max_length=4096,
    )
    portrait: str = key(
        "the path or URL of one picture",
        "Portrait of all these titles; {name} stands for the name of the audio file.",
        min_length=1,
        max_length=4096,
    )
    priority: int = key("a whole number from -1000 to 1000", "Priority of all these titles.", ge=-1000, le=1000)


class ManifestFields(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    version: int = key("1", "Version of the manifest's format: 1.", ge=1, le=1)
    output: str = key(
        "a folder or URL", "Folder or URL where the results go; --output wins.", min_length=1, max_length=4096
    )
    family: str = key("the name of a family", "The set of networks that renders the titles.", min_length=1)
    weights: str = key(
        "a folder or URL",
        "Folder or URL of the family's weights; its own where not given.",
        min_length=1,
        max_length=4096,
    )
    defaults: OptionFields = key("a mapping of options", "Options that hold for every title that does not set them.")
    titles_from: list[SourceFields] = key(
        "a list of {table} or {glob}", "Tables of titles, and patterns of audio files.", min_length=1
    )
    titles: list[TitleFields] = key(
        "a list with at least one title", "The videos to make, one entry each.", min_length=1
    )


REQUIRED: dict[type[BaseModel], tuple[str, ...]] = {
    ManifestFields: ("version", "output", "family", "titles"),
    TitleFields: ("id", "portrait", "audio"),
    PromptFields: ("at", "text"),
    ChapterFields: ("at", "title"),
    RetakeFields: ("from", "to"),
}


def model_at(loc: Loc) -> type[BaseModel] | None:
    """The model whose keys stand at a place of the manifest, None inside plain values."""
    model: type[BaseModel] | None = ManifestFields
    for part in loc:
        if model is None:
            return None
        if isinstance(part, str):
            field = model.model_fields.get(part)
            model = _model_of(field.annotation) if field else None
    return model


def _model_of(annotation: object) -> type[BaseModel] | None:
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def expected_at(loc: Loc) -> str:
    """What was expected at a place, in words."""
    names = [index for index, part in enumerate(loc) if isinstance(part, str)]
    if not names:
        return "a mapping with version, output, family and titles"
    model = model_at(loc[: names[-1]])
    field = model.model_fields.get(str(loc[names[-1]])) if model else None
    if field is None or not isinstance(field.json_schema_extra, dict):
        return "another value"
    inner = model_at(loc)
    if inner is not None and isinstance(loc[-1], int):
        return f"a mapping with {', '.join(REQUIRED[inner])}"
    return str(field.json_schema_extra["expected"])


def wrong_values(data: object) -> Iterator[tuple[Loc, str, object]]:
    """Every place where `data` is not as described: (place, pydantic's type of error, value)."""
    try:
        ManifestFields.model_validate(data)
    except ValidationError as error:
        for item in error.errors(include_url=False, include_context=False):
            yield tuple(item["loc"]), item["type"], item["input"]


def describe(loc: Loc, kind: str, value: object) -> tuple[str, str]:
    """One wrong value as text: value and expectation; remedy."""
    if kind == "string_too_long" and isinstance(value, str):
        found = f"value {shown(value)} of {len(value)} characters"
    else:
        found = f"value {shown(value)}"
    return f"{found}: expected {expected_at(loc)}", _remedy(loc, kind, value)


def _remedy(loc: Loc, kind: str, value: object) -> str:
    if value is None:
        return "give a value or remove the key"
    if kind == "literal_error" and isinstance(value, str):
        if value.lower() in OTHER_NAMES:
            return f"did you mean {OTHER_NAMES[value.lower()]}?"
        if near := get_close_matches(value.lower(), re.split(r", | or ", expected_at(loc)), 1):
            return f"did you mean {near[0]}?"
        return "choose one of these"
    if kind in ("int_type", "float_type", "bool_type") and re.fullmatch(r"[-+]?[0-9.]+|true|false", str(value)):
        return "write it without quotes"
    if kind == "string_type" and isinstance(value, int | float):
        return "put it in quotes"
    if kind == "string_pattern_mismatch" and loc[-1:] == ("id",) and isinstance(value, str):
        near_id = re.sub(r"[^a-z0-9._-]+", "-", value.lower()).lstrip("._-").rstrip(".-")[:100]
        return f"for example {near_id}" if near_id else "choose another id"
    if kind in ("list_type", "model_type"):
        return "write a list (lines that begin with `- `)" if kind == "list_type" else "write `key: value` lines"
    if kind.startswith(("greater_than", "less_than")):
        return "choose a value in this range"
    return "correct the value"
