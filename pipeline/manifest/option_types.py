"""Types of options: how a manifest writes each, beside what it is in a title's options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, GetCoreSchemaHandler, WithJsonSchema
from pydantic_core import CoreSchema

from pipeline.media.canvas import COLOUR
from pipeline.sources.urls import has_control

RESOLUTIONS = (512, 1024, 1080, 2048, 2160, 4096)


@dataclass(frozen=True)
class Written:
    """Of an option that a manifest writes as another type than the one that it has in a title's options."""

    kind: object  # a type, or the likes of `Annotated[int, Field(ge=1)]`

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return handler.generate_schema(self.kind)


Scenes = Literal["one", "chapters"] | Annotated[int, Field(ge=1, le=120)]
Size = Annotated[int, Field(ge=64, le=2160, multiple_of=2)]
Sizes = Annotated[tuple[int, ...], Written(Annotated[list[Size], Field(max_length=4)])]


def _line(value: object) -> object:
    if isinstance(value, str) and (not value.strip() or has_control(value)):
        raise ValueError
    return value


LANGUAGE = r"^[a-zA-Z]{2,3}(-[a-zA-Z0-9]{2,8}){0,4}$"
Line = Annotated[Annotated[str, Field(min_length=1, max_length=500)], BeforeValidator(_line)]
Pixels = Annotated[list[Annotated[int, Field(ge=0, le=1_000_000)]], Field(min_length=4, max_length=4)]
Box = Annotated[tuple[int, int, int, int] | None, Written(Pixels)]
Address = Annotated[str | None, Written(Annotated[str, Field(min_length=1, max_length=4096)])]
_MOMENT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z|[+\-][0-9]{2}:[0-9]{2})$"
Moment = Annotated[str | None, Written(Annotated[str, Field(pattern=_MOMENT)])]
Level = Annotated[float, Field(ge=-40, le=-5, allow_inf_nan=False)]


def _edge(value: int) -> int:
    if not 64 <= value <= 4096 or (value % 16 and value not in RESOLUTIONS):
        raise ValueError
    return value


_EDGE = {"type": "integer", "minimum": 64, "maximum": 4096, "multipleOf": 16}
Resolution = Annotated[int, AfterValidator(_edge), WithJsonSchema({"anyOf": [_EDGE, {"const": 1080}]})]


def _fill(value: str) -> str:
    if value.startswith("#") and not COLOUR.fullmatch(value):
        raise ValueError
    return value


Fill = Annotated[str, AfterValidator(_fill)]
