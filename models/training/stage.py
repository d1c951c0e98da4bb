"""What a training stage gives to the loop, and the stages by name."""

from __future__ import annotations

import importlib
from typing import Any, Protocol

import torch
from torch import Generator, Tensor, nn

from models.training.settings import BadSettings, Settings

Batch = dict[str, Tensor]

STAGES = {
    "autoencoder": "models.training.autoencoder",
    "codebook": "models.training.codebook",
    "restorer": "models.training.restorer",
    "enlarger": "models.training.enlarger",
    "face": "models.training.face",
    "expression": "models.training.expression",
    "landmarks": "models.training.landmarks",
    "movement": "models.training.movement",
    "chain1": "models.training.denoising",
    "chain2": "models.training.denoising",
}
"""Modules with a class `TrainingStage(settings, device)`."""


class Stage(Protocol):
    network: nn.Module
    """What is trained; the loop keeps a running mean of its weights beside it."""

    def batch(self, step: int, generator: Generator) -> Batch:
        """Everything that a step needs, on the device, every random number of it included.

        A function of the step, which keys the generator, and of the network as it then is: a run can go on anywhere.
        """

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss and its parts, for the curve."""

    def score(self, network: nn.Module) -> dict[str, float]:
        """How good a network (the running mean) is on identities that training never sees."""

    def samples(self, network: nn.Module) -> Tensor:
        """A sheet of pictures [3 H W] in 0..1."""

    def weights(self, network: nn.Module) -> dict[str, dict[str, Tensor]]:
        """Files of weights, by name, as a family's folder holds them."""


def build(settings: Settings, device: torch.device) -> Stage:
    if settings.stage not in STAGES:
        raise BadSettings(f"stage is {settings.stage!r}: expected one of {sorted(STAGES)}")
    module = STAGES[settings.stage]
    if module == STAGES["chain1"] and settings.options.get("family", "mini") != "mini":
        module = "models.training.family_chain"
    stage: Any = importlib.import_module(module).TrainingStage(settings, device)
    return stage
