"""Family `hallo2` at a width that a test can afford: the same files, names and quirks."""

from __future__ import annotations

from dataclasses import replace

from models.families.config import (
    AudioProjectionConfig,
    ClipConfig,
    FaceLocatorConfig,
    ImageProjectionConfig,
    SpeechConfig,
    TextConfig,
    VaeConfig,
)
from models.families.hallo2 import HALLO2
from models.families.published_tree import published_tree
from models.families.registry import HALLO2_FAMILY
from models.families.upscale_config import CodebookConfig, DetectorConfig, EnlargerConfig, ParserConfig, RestorerConfig

TOKENS = 16

TINY = replace(
    HALLO2,
    chain=replace(
        HALLO2.chain,
        unet=replace(
            HALLO2.chain.unet,
            channels=(8, 16, 16, 16),
            layers=1,
            heads=2,
            groups=4,
            image_token_width=TOKENS,
            audio_token_width=TOKENS,
        ),
        face_locator=FaceLocatorConfig(channels=(4, 4, 8, 8)),
        image_projection=ImageProjectionConfig(embedding_width=512, tokens=4),
        audio_projection=AudioProjectionConfig(layers=2, feature_width=16, hidden_width=16, tokens=4),
    ),
    vae=VaeConfig(channels=(8, 8, 16, 16), layers=1, groups=4),
    restorer=RestorerConfig(
        codebook=CodebookConfig(
            side=64, width=8, multipliers=(1, 2, 2), blocks=1, attention_at=(16,), code_width=16, codes=32, groups=4
        ),
        dim=16,
        heads=2,
        layers=1,
        fuse_at=(32,),
    ),
    enlarger=EnlargerConfig(width=8, growth=4, blocks=1),
    text=TextConfig(
        embedding_width=12,
        hidden_width=16,
        clip=ClipConfig(width=12, layers=1, heads=2, feed_forward=16, vocabulary=514, positions=24),
    ),
    speech=SpeechConfig(
        width=16, layers=2, heads=2, feed_forward=16, convolutions=(8,) * 7, positions=4, position_groups=2
    ),
    detector=DetectorConfig(width=4, layers=(1, 1, 1, 1), pyramid=8),
    parser=ParserConfig(width=8, widest=16, downs=2, depth=1),
)

TINY_FAMILY = replace(
    HALLO2_FAMILY,
    name="tiny",
    base_sizes=(64,),
    threads=1,
    default_steps=2,
    tree=published_tree(TINY),
    networks=TINY,
    seconds_per_clip=1.0,
    seconds_per_frame=0.1,
)
