"""A stage's own settings: the `options` of a configuration, into the stage's frozen dataclass."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, TypeVar

from models.training.settings import BadSettings, Settings

Options = TypeVar("Options")


def read_options(kind: type[Options], settings: Settings) -> Options:
    """Raises BadSettings naming every key that the stage does not know."""
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(settings.options) - known)
    if unknown:
        raise BadSettings(f"options has unknown keys {unknown}: stage {settings.stage} knows {sorted(known)}")
    return kind(**{name: plain(value) for name, value in settings.options.items()})


def plain(value: Any) -> Any:
    """Lists as tuples, as frozen configurations hold them."""
    return tuple(plain(entry) for entry in value) if isinstance(value, list) else value
