"""What the arms differ in, and nothing else: data, seed, steps and the weights they start from are the same."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from models.families.mini import MINI
from models.families.protocol import Family
from models.families.registry import MINI_FAMILY
from models.training.settings import Settings

RATE, PATCH, NOISE = 0.25, 1, 0.05


@dataclass(frozen=True)
class Arm:
    """`rate` of patches of `patch` x `patch` latents dropped (eq. 5, 6), deviation of the noise (eq. 7)."""

    name: str
    rate: float
    patch: int
    noise: float
    table: str

    def options(self) -> dict[str, Any]:
        return {"drop_rate": self.rate, "drop_patch": self.patch, "motion_noise": self.noise}

    def settings(self, base: Settings, folder: Path, steps: int | None) -> Settings:
        options = base.options | self.options()
        return replace(base, out=str(folder), options=options, steps=steps or base.steps)

    def family(self) -> Family:
        """Family `mini` that carries motion frames on as this arm was trained to."""
        networks = replace(MINI, patch=self.patch, drop_rate=self.rate, motion_noise=self.noise)
        return replace(MINI_FAMILY, networks=networks)


ARMS = (
    Arm("none", 0.0, 1, 0.0, "all"),
    Arm("noise", 0.0, 1, NOISE, "6"),
    Arm("drop", RATE, PATCH, 0.0, "4, 5, 6"),
    Arm("both", RATE, PATCH, NOISE, "6"),
    Arm("patch-4", RATE, 4, 0.0, "4"),
    Arm("patch-16", RATE, 16, 0.0, "4"),
    Arm("rate-0.1", 0.1, PATCH, 0.0, "5"),
    Arm("rate-0.5", 0.5, PATCH, 0.0, "5"),
)
