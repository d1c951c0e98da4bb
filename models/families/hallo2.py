"""Family `hallo2`: the published networks at their widths, with every quirk that their weights were trained with."""

from __future__ import annotations

from models.families.config import HALLO2 as HALLO2_CHAIN
from models.families.config import ClipConfig, SamplerConfig, SpeechConfig, TextConfig, VaeConfig
from models.families.network_config import NetworkConfig
from models.families.upscale_config import DetectorConfig, EnlargerConfig, ParserConfig, RestorerConfig, UpscaleConfig

HALLO2 = NetworkConfig(
    chain=HALLO2_CHAIN,
    vae=VaeConfig(),
    restorer=RestorerConfig(),
    enlarger=EnlargerConfig(),
    upscale=UpscaleConfig(crop="landmarks"),
    sampler=SamplerConfig(betas="linear"),  # trained with scaled_linear; the published script samples with these
    text=TextConfig(clip=ClipConfig()),
    speech=SpeechConfig(),
    detector=DetectorConfig(),
    parser=ParserConfig(),
    identity="face_embedding",
    carry="pixels",
    patch=1,
    drop_rate=0.25,
    drop_on_face=False,
    motion_noise=0.0,  # the published inference adds none
)
