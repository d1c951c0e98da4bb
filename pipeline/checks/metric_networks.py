"""The file that tells `evaluate` which networks to measure with: YAML, a mapping from score to file, hash and sizes."""

from __future__ import annotations

from dataclasses import fields
from importlib import import_module
from pathlib import Path

import yaml

from pipeline.core.errors import UserError

SCORES = ("fid", "fvd", "efid", "sync", "identity")


def read_metric_networks(path: Path | None, wanted: tuple[str, ...]) -> dict[str, object]:
    """Score -> `models.measures.backbone.Backbone`: of all scores that the file names, or of those `wanted`."""
    if path is None:
        if wanted:
            raise UserError(
                f"--score {wanted[0]} needs a network that cannot be shipped: name its file and hash in a YAML file "
                "and give that as --backbones (docs/evaluation.md)"
            )
        return {}
    try:
        given = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error
    if not isinstance(given, dict) or not given:
        raise UserError(f"{path}: expected a mapping from {', '.join(SCORES)} to a file each")
    unknown = [str(name) for name in given if name not in SCORES]
    if unknown:
        raise UserError(f"{path}: unknown scores {', '.join(unknown)}; expected some of {', '.join(SCORES)}")
    missing = [name for name in wanted if name not in given]
    if missing:
        raise UserError(f"{path}: --score {missing[0]} is asked for, and no network is named for it")
    return {name: _backbone(path, name, given[name]) for name in (wanted or given)}


def _backbone(path: Path, score: str, given: object) -> object:
    kind = import_module("models.measures.backbone").Backbone
    known = {field.name for field in fields(kind)} - {"path"} | {"file"}
    if not isinstance(given, dict) or "file" not in given or "side" not in given:
        raise UserError(f"{path}: {score}: expected a mapping with file, sha256 and side")
    unknown = sorted(set(given) - known)
    if unknown:
        raise UserError(
            f"{path}: {score}: unknown keys {', '.join(map(str, unknown))}; known are {', '.join(sorted(known))}"
        )
    values = {"sha256": ""} | {name: value for name, value in given.items() if name != "file"}
    numbers = [name for name in ("side", "low", "high", "output") if name in values]
    for name in numbers:
        if isinstance(values[name], bool) or not isinstance(values[name], int | float):
            raise UserError(f"{path}: {score}: {name} is {values[name]!r}: expected a number")
    if not isinstance(values["side"], int) or values["side"] < 8:
        raise UserError(f"{path}: {score}: side is {values['side']!r}: expected a whole number of pixels, at least 8")
    file = Path(str(given["file"]))
    return kind(path=file if file.is_absolute() else path.parent / file, **values | {"sha256": str(values["sha256"])})
