"""What a family is: its constants, and the methods that its parts must have. Plain data, importable without torch.

A family is loaded in parts, one for each kind of worker; every part is a class with the few methods named here:

    prepare  conditioning(portrait, hints) -> arrays, notes      features(speech, …) -> [frames, …]
    chain    start(conditioning, seed) -> state                  next_clip(lanes) -> [(latents, state) | None]
    upscale  decode(latents, …) -> frames                        restore(window, places, …) -> frames
             planes(frame) -> yuv420p                            face_found(frame) -> bool

Arrays cross these borders as numpy; a *frame* is whatever the upscaler's own methods hand to each other (a tensor
on its device), so pictures stay on the device until they are planes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

import numpy as np

from models.families.gate import Gate
from models.families.memory_plan import Footprint
from models.families.network_config import NetworkConfig
from models.families.reproduction import Reproduction
from models.families.weight_files import WeightFile

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Family:
    """Constants of a family. Whatever changes its output is here or in its weights, so it enters the hashes."""

    name: str
    module: str  # where its parts are, imported by the workers only
    motion_frames: int  # M: frames of the chain state
    carry: Literal["pixels", "latents"]
    text: bool
    base_sizes: tuple[int, ...]  # allowed edges of the base frame, pixels; the first is the default
    latent_channels: int
    latent_factor: int  # pixels of the base frame a latent covers, along an edge
    latent_bytes: int  # of one number
    feature_block: int  # frames of audio features that one record holds
    feature_halo: int  # frames of speech on each side that a block of features may see
    feature_reach: int  # frames to each side that a clip reads beyond its own 16
    default_steps: int
    default_guidance: float
    lanes: int  # titles in a chain actor's batch
    threads: int  # CPU threads of one worker
    decode_group: int  # frames that the autoencoder decodes in one call, anchored on absolute frame numbers
    accelerator_dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    """In what the large networks compute on an accelerator (`models.weights.precision`). It enters the numerics
    class, as the device itself does, and no hash."""
    chain_revision: int = 1
    picture_revision: int = 1
    tree: tuple[WeightFile, ...] = ()
    """The files of a folder of weights."""
    face_finders: tuple[str, ...] = ()
    """Networks of the tree each of which finds the face in a portrait. Without any of them only `face_box` says where
    it is, else the middle of the picture is taken for it."""
    needs_weights: bool = False
    """Without files a family's weights follow from its configuration, by `models.weights.synthetic`."""
    reproduces: Reproduction | None = None
    """What comes back of a portrait at least; a portrait of which less comes back is warned of."""
    note: str = ""  # said when the family is used
    words: tuple[str, ...] = ()
    """What prompts can ask for, where a family has learned some words only."""
    seconds_per_clip: float = 1.0  # planning figures on one worker, replaced by measured ones
    seconds_per_frame: float = 0.1
    worker_bytes: int = 1 << 30
    footprint: Footprint | None = None
    """What the upscaler's networks hold, to fit them to the memory of an accelerator."""
    networks: NetworkConfig | None = None
    gate: Gate | None = None
    """What its chain looks at before it commits a GOP, with the weights that ship (`models.families.gate`). It enters
    the hashes of plans that have it, by itself."""

    @property
    def moves(self) -> bool:
        """Whether pictures are the portrait's own pixels, moved, rather than decoded ones."""
        return self.networks is not None and self.networks.picture != "decoded"

    def latent_shape(self, base_size: int) -> tuple[int, int, int]:
        edge = base_size // self.latent_factor
        return self.latent_channels, edge, edge

    def default_weights_hash(self) -> str:
        """Of a family without files: its configuration; its weights follow from that (`models.weights.synthetic`)."""
        facts = {k: v for k, v in asdict(self).items() if k not in _NOT_OUTPUT}
        networks = facts["networks"]
        if networks and networks["picture"] == "decoded":  # as before there was another way
            del networks["picture"]
        if networks and networks["movement"] is None:
            del networks["movement"]
        facts["module"] = _HASHED_MODULES.get(self.module, self.module)
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


# Modules that have moved since their names first entered a hash: the hash keeps the name of then.
_HASHED_MODULES = {"models.families.fake": "models.fake", "models.parts.roles": "models.networks"}
_NOT_OUTPUT = (
    "accelerator_dtype",
    "note",
    "reproduces",
    "tree",
    "face_finders",
    "needs_weights",
    "seconds_per_clip",
    "seconds_per_frame",
    "worker_bytes",
    "footprint",
    "default_steps",
    "default_guidance",
    "gate",
)


@dataclass(frozen=True)
class ClipOptions:
    """Sampling options of one lane."""

    steps: int
    guidance_scale: float
    base_size: int
    compat: str = "none"
    guided_share: float = 1.0
    deep_every: int = 1
    solver: Literal["ddim", "dpm++"] = "ddim"
    linears: Literal["full", "int8"] = "full"
    """In what the denoiser's linear layers multiply (`models.execution.eight_bit`)."""
    compiled: bool = False
    """Whether the denoiser is to be compiled (`models.execution.compiled`)."""
    devices: int = 1
    """On how many the halves of guidance are (`models.diffusion.two_devices`)."""


@dataclass(frozen=True)
class PictureOptions:
    """What the upscaler needs to know of a title."""

    base_size: int
    resolution: int
    fidelity: float
    background: str
    compat: str = "none"
    plate: str = "off"  # on: the surroundings of the face come from the portrait's plate
    enlarge: str = "x2"  # published: the x2 network once at most, then a plain filter
    film: tuple[int, int] | None = None
    """Width and height of the picture, for families that move the portrait's pixels; a square where not given."""


@dataclass(frozen=True)
class Hints:
    """What a title says about its portrait. Boxes are x, y, width, height in the portrait's pixels."""

    face_box: tuple[int, int, int, int] | None = None
    lip_box: tuple[int, int, int, int] | None = None
    face_embedding: np.ndarray | None = None
    compat: str = "none"


@dataclass(frozen=True)
class Lane:
    """One title's input to one clip.

    `features`: [reach + 16 + reach, …], the title's ends repeated; `state`: what `start` or the previous clip left;
    `attempt`: 0, or how often the clip was sampled before with what the gate refused.
    """

    seed: int
    clip: int
    conditioning: Arrays
    state: Arrays
    features: np.ndarray
    text: str | None
    options: ClipOptions
    attempt: int = 0


@dataclass(frozen=True)
class Made:
    """A GOP that was sampled and is not committed, as the gate looks at it.

    `latents`: [f, C, h, w], f up to 48; `features`: [f, …], what these frames say; `before`: the state that its first
    clip started from.
    """

    latents: np.ndarray
    features: np.ndarray
    before: Arrays
    conditioning: Arrays
    options: ClipOptions


class PreparePart(Protocol):
    def numerics(self) -> dict[str, Any]:
        """What must be equal for two workers to compute the same bits; every part has it."""

    def conditioning(self, portrait: np.ndarray, base_size: int, hints: Hints) -> tuple[Arrays, list[str]]:
        """portrait uint8 [H, W, 3] → named arrays that the other parts use, and notes on what was approximated."""

    def features(
        self, speech: np.ndarray, left: int, frames: int, right: int, silence: int, level: float
    ) -> np.ndarray:
        """Speech of one block, heard with its neighbours → [frames + silence, …].

        speech: float32 [640·(left + frames + right)] at 16 kHz, `left` and `right` frames of it being the halo;
        `silence`: frames that fill the title's last clip, where nothing is said; `level`: how loud the whole title is
        (`models.speech.speech_level`), for families that do not hear each block at its own loudness.
        """

    def voices(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Sound [s, 2] at 44.1 kHz in blocks → the voices in it, for families whose weights have a separator."""


class ChainPart(Protocol):
    remade: frozenset[int]
    """Places of the last call whose clip was made again, in a type that reaches further (`models.families.finite`)."""

    def numerics(self) -> dict[str, Any]: ...

    def start(self, conditioning: Arrays, seed: int, base_size: int) -> Arrays:
        """The state before clip 0."""

    def next_clip(self, lanes: list[Lane | None]) -> list[tuple[np.ndarray, Arrays] | None]:
        """Sixteen latents [16, C, h, w] and the new state for every lane; None stands for an empty lane."""

    def arithmetic(self, options: ClipOptions, lanes: int) -> dict[str, Any]:
        """What the options of how it is computed add to `numerics`, for batches of so many lanes; tried out, once."""

    def sample(self, seed: int, options: ClipOptions) -> Lane:
        """A made-up input, as the self-test of lanes takes it (`models.parts.lanes`)."""

    def release(self) -> None:
        """Give back memory of the device that is held and not in use."""

    def look(self, made: Made) -> dict[str, float]:
        """What the limits of the family's gate are about, by name; nothing of what cannot be told of this GOP.

        Of families that have a gate. At most 4 frames are decoded. The same GOP gives the same numbers.
        """

    def joined(self, before: Arrays, latents: np.ndarray) -> np.ndarray:
        """Latents [f, C, h, w] of a GOP that begins anew from the portrait, led over to from the state `before` it."""


class UpscalePart(Protocol):
    def numerics(self) -> dict[str, Any]: ...

    def fit(self, options: PictureOptions, begun: Mapping[str, Any] | None) -> None:
        """Before a title's pictures: choose how much is computed at once. `begun`: the numerics class of the title."""

    def shrink(self) -> bool:
        """After torch.OutOfMemoryError: compute less at once from now on; False where it has been so already."""

    def wider(self) -> UpscalePart | None:
        """What makes a GOP again whose pictures were not finite; None where there is nothing that reaches further."""

    def decode(self, latents: np.ndarray, options: PictureOptions, conditioning: Arrays) -> list[Any]:
        """[n, C, h, w] → n base frames. `conditioning`: what `prepare` gave and, where the family moves the portrait's
        pixels, these as `pixels`, uint8 [H, W, 3]."""

    def still(self, frames: list[Any], conditioning: Arrays, options: PictureOptions) -> bool:
        """Whether a GOP's base frames stand still around the face, and may be shown on the portrait's plate."""

    def restore(self, window: list[Any], places: range, conditioning: Arrays, options: PictureOptions) -> Iterator[Any]:
        """16 base frames → those at `places` of the window, in the title's resolution."""

    def face_found(self, frame: Any) -> bool:
        """Whether a face was restored in a frame that `restore` gave."""

    def planes(self, frame: Any) -> np.ndarray:
        """One frame → yuv420p planes, uint8 [3·R/2, R]: Y, then U and V (BT.709, limited range).

        Raises models.families.finite.NotFinite for a picture with numbers that are none.
        """
