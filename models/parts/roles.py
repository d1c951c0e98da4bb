"""Which class stands for each part of a family that is made of networks; `load_part` finds it by its name."""

from models.parts.chain import Chain
from models.parts.composing import ComposingUpscale
from models.parts.movement_chain import MovementChain
from models.parts.photo_prepare import PhotoPrepare
from models.parts.prepare import Prepare
from models.parts.upscale import Upscale

PARTS = {
    "decoded": {"prepare": Prepare, "chain": Chain, "upscale": Upscale},
    "composed": {"prepare": PhotoPrepare, "chain": MovementChain, "upscale": ComposingUpscale},
}
"""By what a family's pictures are (`NetworkConfig.picture`)."""
