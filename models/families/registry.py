"""The families there are: which networks and constants belong together, as plain data. Importable without torch.

What their constants mean, and what their parts can do, is in `models.families.protocol`.
"""

from __future__ import annotations

import importlib
from typing import Any

from models.families.gate_limits import FAKE_GATE, MINI_GATE, PHOTO_GATE
from models.families.hallo2 import HALLO2
from models.families.memory_plan import Footprint
from models.families.mini import MINI
from models.families.photo import PHOTO, PHOTO_TREE
from models.families.protocol import Family
from models.families.published_tree import plain_tree, published_tree
from models.families.reproduction import Reproduction
from models.families.vocabulary import ASKED_WORDS, KNOWN_WORDS
from models.families.weight_files import Part

FAKE = Family(
    name="fake",
    module="models.families.fake",
    motion_frames=2,
    carry="latents",
    text=True,
    base_sizes=tuple(range(64, 1025, 16)),
    latent_channels=1,
    latent_factor=8,
    latent_bytes=2,
    feature_block=1500,
    feature_halo=2,
    feature_reach=2,
    default_steps=4,
    default_guidance=1.0,
    lanes=2,
    threads=1,
    decode_group=8,
    note="family 'fake' draws a mosaic computed from hashes: it is for tests, no portrait will be seen",
    seconds_per_clip=0.005,
    seconds_per_frame=0.001,
    worker_bytes=200 << 20,
    gate=FAKE_GATE,
)

MINI_FAMILY = Family(
    name="mini",
    module="models.parts.roles",
    motion_frames=MINI.chain.motion_frames,
    carry=MINI.carry,
    text=True,
    base_sizes=(512, 256, 128),
    latent_channels=MINI.vae.latent_channels,
    latent_factor=MINI.vae.factor,
    latent_bytes=2,
    feature_block=1500,
    feature_halo=50,  # what a frame's averages remember, and the reach of its own spectra
    feature_reach=MINI.chain.audio_projection.radius,
    default_steps=1,
    default_guidance=1.0,
    lanes=1,
    threads=1,
    decode_group=4,
    chain_revision=5,
    picture_revision=3,
    tree=plain_tree(MINI),
    # Drawn portraits of 14 unseen people gave 26.4 to 30.8 and 24.9 to 32.0; a photograph with a small face 23.2, 23.8.
    reproduces=Reproduction(25.5, 24.0),
    note="family 'mini' has learned from drawn people alone; for a photograph take family 'photo'",
    words=KNOWN_WORDS,
    seconds_per_clip=0.18,
    seconds_per_frame=0.26,
    footprint=Footprint(180, 9 << 20, 10 << 20, 12 << 20, 64),
    networks=MINI,
    gate=MINI_GATE,
)

PHOTO_FAMILY = Family(
    name="photo",
    module="models.parts.roles",
    motion_frames=1,
    carry="latents",
    text=True,
    base_sizes=(512,),
    latent_channels=3,  # flow and what is told beside it (`models.diffusion.movement_record`)
    latent_factor=16,
    latent_bytes=2,
    feature_block=1500,
    feature_halo=50,  # what a frame's averages remember, and the reach of its own spectra
    feature_reach=10,  # frames of sound before a frame that are heard with it
    default_steps=1,
    default_guidance=1.0,
    lanes=1,
    threads=1,
    decode_group=1,
    tree=PHOTO_TREE,
    face_finders=("face_points",),
    words=ASKED_WORDS,
    seconds_per_clip=0.1,
    seconds_per_frame=0.2,
    footprint=Footprint(180, 9 << 20, 10 << 20, 12 << 20, 64),
    networks=PHOTO,
    gate=PHOTO_GATE,
)

HALLO2_FAMILY = Family(
    name="hallo2",
    module="models.parts.roles",
    motion_frames=HALLO2.chain.motion_frames,
    carry=HALLO2.carry,
    text=True,
    base_sizes=(512, 256, 128),  # trained at the first; the others are for trying things out
    latent_channels=HALLO2.vae.latent_channels,
    latent_factor=HALLO2.vae.factor,
    latent_bytes=2,
    feature_block=1500,  # the published minute
    feature_halo=25,
    feature_reach=HALLO2.chain.audio_projection.radius,
    default_steps=40,
    default_guidance=3.5,
    lanes=1,
    threads=2,
    decode_group=1,  # as published
    accelerator_dtype="float16",  # as published
    chain_revision=2,
    tree=published_tree(HALLO2),
    face_finders=("face_finder", "detector"),
    needs_weights=True,
    seconds_per_clip=1800.0,  # 2.4 PFLOP a clip, 4 TFLOP a frame, on two processor cores
    seconds_per_frame=60.0,
    worker_bytes=12 << 30,
    footprint=Footprint(640, 384 << 20, 45 << 20, 768 << 20, 64),
    networks=HALLO2,
)

FAMILIES: dict[str, Family] = {family.name: family for family in (FAKE, PHOTO_FAMILY, MINI_FAMILY, HALLO2_FAMILY)}


def load_part(family: Family, part: Part, weights: str | None, device: str) -> Any:
    """The part's object, ready to work. `weights`: a local folder with the family's files, or None."""
    module = importlib.import_module(family.module)
    parts = module.COMPOSING if family.moves else module.PARTS
    return parts[part](family, weights, device)
