"""Which class stands for each part of a family that is made of networks; `load_part` finds it by its name."""

from models.parts.chain import Chain
from models.parts.composing import ComposingUpscale
from models.parts.movement_chain import MovementChain
from models.parts.photo_prepare import PhotoPrepare
from models.parts.prepare import Prepare
from models.parts.upscale import Upscale

PARTS = {"prepare": Prepare, "chain": Chain, "upscale": Upscale}
COMPOSING = {"prepare": PhotoPrepare, "chain": MovementChain, "upscale": ComposingUpscale}
"""Of families that move a photograph."""
