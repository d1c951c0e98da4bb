"""What one training run is: a YAML file, read into plain data and checked."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

PRECISIONS = ("float32", "bfloat16")
DEVICES = ("cpu", "cuda")


class BadSettings(ValueError):
    """A configuration that cannot be run as it is."""


@dataclass(frozen=True)
class Settings:
    stage: str
    out: str
    """Folder for checkpoints, curve, sample sheets and weights."""
    steps: int
    batch: int
    seed: int = 0
    learning_rate: float = 1e-3
    warmup: int = 100
    """Steps over which the rate rises; afterwards it falls to 0 along half a cosine."""
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    ema: float = 0.99
    """Share of the running mean of the weights that is kept at every step."""
    device: str = "cpu"
    precision: str = "float32"
    threads: int = 1
    checkpoint_every: int = 500
    sample_every: int = 500
    log_every: int = 20
    options: dict[str, Any] = field(default_factory=dict)
    """Of the stage."""

    def identity(self) -> dict[str, Any]:
        """What must be the same when a run goes on: all but where and how often it writes, and what it runs on."""
        free = ("out", "device", "threads", "checkpoint_every", "sample_every", "log_every")
        return {name: value for name, value in asdict(self).items() if name not in free}


def read_settings(path: Path, **given: Any) -> Settings:
    """The file's settings, those `given` (and not None) in place of its own."""
    try:
        loaded = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise BadSettings(f"{path}: {error}") from error
    if not isinstance(loaded, dict):
        raise BadSettings(f"{path}: expected keys and values, found {type(loaded).__name__}")
    loaded |= {name: value for name, value in given.items() if value is not None}
    known = {entry.name: entry for entry in fields(Settings)}
    unknown = sorted(set(loaded) - set(known))
    missing = [name for name in ("stage", "out", "steps", "batch") if name not in loaded]
    if unknown or missing:
        raise BadSettings(f"{path}: unknown keys {unknown}, missing keys {missing}: known are {sorted(known)}")
    return _checked(path, Settings(**loaded))


def _checked(path: Path, settings: Settings) -> Settings:
    problems = [
        f"{name} is {getattr(settings, name)!r}: expected a whole number from {low} on"
        for name, low in (
            ("steps", 1), ("batch", 1), ("warmup", 0), ("threads", 1), ("checkpoint_every", 1), ("sample_every", 1),
            ("log_every", 1), ("seed", 0),
        )
        if not isinstance(getattr(settings, name), int) or getattr(settings, name) < low
    ]  # fmt: skip
    for name in ("learning_rate", "weight_decay", "clip_norm", "ema"):
        if not isinstance(getattr(settings, name), int | float):
            problems.append(f"{name} is {getattr(settings, name)!r}: expected a number (write 1.0e-3, not 1e-3)")
    for name, choices in (("precision", PRECISIONS), ("device", DEVICES)):
        if getattr(settings, name) not in choices:
            problems.append(f"{name} is {getattr(settings, name)!r}: expected one of {choices}")
    if not isinstance(settings.options, dict):
        problems.append(f"options is {settings.options!r}: expected the stage's own keys and values")
    if problems:
        raise BadSettings(f"{path}: " + "; ".join(problems))
    return settings
