"""Family `photo`: a portrait's own pixels, moved by what a small network hears (`models.diffusion.movement`)."""

from __future__ import annotations

from dataclasses import replace

from models.families.config import MovementConfig
from models.families.mini import MINI
from models.families.network_config import NetworkConfig
from models.families.weight_files import WeightFile

PHOTO: NetworkConfig = replace(MINI, vae=replace(MINI.vae, shrink=1), picture="composed", movement=MovementConfig())
"""Of the other networks of `mini` only the encoder is used: latents are how a portrait is looked at."""

_LICENCE = "MIT"

PHOTO_TREE = (
    WeightFile("vae.safetensors", "encoder", ("chain",), "the portrait's latents", _LICENCE, "yes"),
    WeightFile("movement.safetensors", "movement", ("chain",), "what is heard to movement", _LICENCE, "yes"),
    WeightFile("face_points.safetensors", "face_points", ("prepare",), "where the face is", _LICENCE, "yes"),
)
