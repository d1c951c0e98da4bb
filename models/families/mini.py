"""Family `mini`: the same classes, small enough for two CPU cores. A 512 px frame is 32 x 32 latents of 8 channels."""

from __future__ import annotations

from models.families.config import (
    AudioProjectionConfig,
    ChainConfig,
    FaceLocatorConfig,
    ImageProjectionConfig,
    SamplerConfig,
    TextConfig,
    UNetConfig,
    VaeConfig,
)
from models.families.network_config import NetworkConfig
from models.families.upscale_config import (
    CodebookConfig,
    FoldedEnlargerConfig,
    RestorerConfig,
    SkipConfig,
    UpscaleConfig,
)

LATENTS = 8
TOKENS = 128  # width of image and audio tokens

MINI = NetworkConfig(
    chain=ChainConfig(
        unet=UNetConfig(
            latent_channels=LATENTS,
            channels=(64, 96, 64),
            attention=(False, True, True),
            layers=1,
            heads=4,
            groups=16,
            patch=2,  # 16 x 16 tokens, a quarter of the cost of 32 x 32
            expansion=1,
            corrects=True,
            image_token_width=TOKENS,
            audio_token_width=TOKENS,
        ),
        face_locator=FaceLocatorConfig(channels=(8, 16, 32), shrink=8),
        image_projection=ImageProjectionConfig(embedding_width=16 * LATENTS, tokens=4),
        audio_projection=AudioProjectionConfig(window=5, layers=7, feature_width=80, hidden_width=256, tokens=8),
    ),
    vae=VaeConfig(
        latent_channels=LATENTS,
        channels=(32, 64, 96),
        layers=1,
        groups=8,
        middle_attention=False,
        scale=1.0,
        shrink=2,  # what is finer than this is the restorer's to draw
        unshuffle=2,
        cosines=True,
    ),
    restorer=RestorerConfig(
        codebook=CodebookConfig(
            side=512, unshuffle=8, width=32, multipliers=(1, 2), blocks=1, attention_at=(), code_width=64, codes=256,
            groups=0, middle_attention=False,
        ),
        dim=64,
        heads=4,
        layers=2,
        fuse_at=(),
        spatial=False,  # convolutions in space and attention in time alone: trained on crops, run on whole pictures
        skip=SkipConfig(),
    ),
    enlarger=FoldedEnlargerConfig(),
    upscale=UpscaleConfig(crop="whole", adain=False, keep_colour=False, tile=0),
    sampler=SamplerConfig(betas="scaled_linear", prediction="sample"),
    text=TextConfig(embedding_width=256, hidden_width=128),
    drop_rate=0.25,
    motion_noise=0.05,
)  # fmt: skip
