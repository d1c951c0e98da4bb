"""Which class stands for each part of a family that is made of networks; `load_part` finds it by its name."""

from models.parts.chain import Chain
from models.parts.moving import MovingUpscale
from models.parts.prepare import Prepare
from models.parts.upscale import Upscale

PARTS = {"prepare": Prepare, "chain": Chain, "upscale": Upscale}
MOVING = PARTS | {"upscale": MovingUpscale}
"""Of families that move the portrait's own pixels."""
