"""Predictions that correct what is already known: a small network then need not draw what it can copy.

Of a clip's frames much is known before it is drawn: background and clothes are the portrait's, the head is about
where the last motion frame has it. A guess g is mixed of the two by the network's own gate; what is left, x₀ - g, is
taken to be normal with variance LEFT. With the noisy latents z = α·x₀ + σ·ε the best linear estimate of x₀, and the
scale of what it still misses, follow (as in the preconditioning of Karras et al., arXiv 2206.00364, eq. 7, around g
rather than 0):

    x₀ ≈ g + k·(z - α·g) + s·F,   k = α·LEFT / (α²·LEFT + σ²),   s = sqrt(LEFT·σ² / (α²·LEFT + σ²))

The network gives F and the gate.

Shapes: r rows, f frames, c channels, h w latent sides.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.config import SamplerConfig
from models.sampler import scheduler

LEFT = 0.1
GATE_START = 2.0  # an untrained gate takes most from the motion frame


@dataclass(frozen=True)
class Corrector:
    """Squares of α by timestep [steps]."""

    kept: Tensor

    @classmethod
    def of(cls, config: SamplerConfig, device: torch.device | str = "cpu") -> "Corrector":
        if config.prediction != "sample":
            raise ValueError(f"prediction is {config.prediction!r}: a network that corrects predicts the sample")
        return cls(scheduler(config).alphas_cumprod.to(device))

    def scales(self, timestep: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`timestep` [r] -> α, k and s, each [r 1 1 1 1]."""
        kept = self.kept[timestep.long()].float()[:, None, None, None, None]
        total = kept * LEFT + (1 - kept)
        return kept.sqrt(), kept.sqrt() * LEFT / total, (LEFT * (1 - kept) / total).sqrt()

    def __call__(self, given: Tensor, noisy: Tensor, beside: Tensor, timestep: Tensor) -> Tensor:
        """The network's `given` [r f c+1 h w], what it saw: `noisy` [r f c h w], `beside` [r 2·c h w] -> x₀."""
        given, noisy, beside = given.float(), noisy.float(), beside.float()
        alpha, share, scale = self.scales(timestep)
        portrait, moved = (picture[:, None] for picture in beside.chunk(2, dim=1))
        gate = torch.sigmoid(given[:, :, -1:] + GATE_START)
        guess = portrait + gate * (moved - portrait)
        return guess + share * (noisy - alpha * guess) + scale * given[:, :, :-1]


def beside(reference: Tensor, motion: Tensor) -> Tensor:
    """Latents of the portrait [r c h w] and of the motion frames [r m c h w] -> what a corrector sees [r 2·c h w].

    Without motion frames the portrait stands for them too.
    """
    last = motion[:, -1] if motion.shape[1] else reference
    return torch.cat([reference, last], dim=1)
