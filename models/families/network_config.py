"""Which networks make up a family, and how they are put together: plain data, importable without torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from models.families.config import ChainConfig, MovementConfig, SamplerConfig, SpeechConfig, TextConfig, VaeConfig
from models.families.upscale_config import (
    DetectorConfig,
    EnlargerConfig,
    FoldedEnlargerConfig,
    ParserConfig,
    RestorerConfig,
    UpscaleConfig,
)


@dataclass(frozen=True)
class NetworkConfig:
    """Everything that a family of networks is built from, beside its weights."""

    chain: ChainConfig
    vae: VaeConfig
    restorer: RestorerConfig
    enlarger: EnlargerConfig | FoldedEnlargerConfig
    upscale: UpscaleConfig
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    text: TextConfig | None = None
    speech: SpeechConfig | None = None
    """What the chain hears speech through; `models.speech.spectrum.heard` where there is none."""
    detector: DetectorConfig | None = None
    parser: ParserConfig | None = None
    identity: Literal["face_embedding", "pooled_latents"] = "pooled_latents"
    """What the image tokens are made of: a face network's embedding, or the portrait's latents in 4 x 4 cells."""
    carry: Literal["pixels", "latents"] = "latents"
    picture: Literal["decoded", "composed"] = "decoded"
    """What is shown: decoded latents, or the portrait's own pixels, moved, with a drawn mouth and lids
    (`models.puppet.composed`)."""
    movement: MovementConfig | None = None
    """What tells how a photograph moves, of families that compose pictures."""
    patch: int = 1
    """Side of the patches that are dropped from the motion frames, in pixels or latents, whichever is carried."""
    drop_rate: float = 0.25
    drop_on_face: bool = True
    """Whether patches of the face may be dropped too, as in the paper; published, they never are."""
    motion_noise: float = 0.0
    """Standard deviation of the noise on the motion frames' latents (equation 7)."""
