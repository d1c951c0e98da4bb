"""Predictions that correct what is already known: a small network then need not draw what it can copy.

Of a clip's frames much is known before it is drawn: background and clothes are the portrait's, the head is about
where the last motion frame has it. A guess g is mixed of the two by the network's own gate; what is left, x₀ - g, is
taken to be normal with a variance v that the network gives for every latent of every frame: nearly nothing where the
picture stands still, more at the lips. With the noisy latents z = α·x₀ + σ·ε the best linear estimate of x₀, and the
scale of what it still misses, follow (as in the preconditioning of Karras et al., arXiv 2206.00364, eq. 7, around g
rather than 0):

    x₀ ≈ g + k·(z - α·g) + s·F,   k = α·v / (α²·v + σ²),   s = sqrt(v·σ² / (α²·v + σ²))

The network gives F, the gate and the logarithm of v / LEFT. Where v is small neither the noise in z nor an error in F
reaches the picture, so what stands still stays clean.

Shapes: r rows, f frames, c channels, h w latent sides.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.diffusion.latent_shift import LatentShift
from models.diffusion.sampler import scheduler
from models.families.config import SamplerConfig

LEFT = 0.1
LOGARITHMS = (-7.0, 3.0)  # of v / LEFT
ASIDE = 2  # channels beside the correction: gate, logarithm
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

    def scales(self, timestep: Tensor, left: Tensor | float = LEFT) -> tuple[Tensor, Tensor, Tensor]:
        """`timestep` [r] -> α, k and s, each [r 1 1 1 1], or as large as `left`, the variance, makes them."""
        kept = self.kept[timestep.long()].float()[:, None, None, None, None]
        total = kept * left + (1 - kept)
        return kept.sqrt(), kept.sqrt() * left / total, (left * (1 - kept) / total).sqrt()

    def __call__(self, given: Tensor, noisy: Tensor, beside: Tensor, timestep: Tensor) -> Tensor:
        """The network's `given` [r f c+2+c… h w], what it saw: `noisy` [r f c h w], `beside` [r 2·c+2 h w] -> x₀."""
        given, noisy, beside = given.float(), noisy.float(), beside.float()
        channels = noisy.shape[2]
        drawn, gate, logarithm = given[:, :, : channels + ASIDE].split([channels, 1, 1], dim=2)
        portrait = moved_portrait(given, channels)
        alpha, share, scale = self.scales(timestep, LEFT * logarithm.clamp(*LOGARITHMS).exp())
        last = beside[:, None, channels : 2 * channels]
        guess = portrait + torch.sigmoid(gate + GATE_START) * (last - portrait)
        return guess + share * (noisy - alpha * guess) + scale * drawn


def moved_portrait(given: Tensor, channels: int) -> Tensor:
    """The portrait's latents [r f c h w] as the movement that the network gave made them look."""
    return given[:, :, channels + ASIDE : 2 * channels + ASIDE]


def beside(reference: Tensor, last: Tensor | None, shift: LatentShift) -> Tensor:
    """Latents of the portrait and of the last motion frame [r c h w] -> what a corrector sees [r 2·c+2 h w].

    The frame is whole and without noise: what motion frames lose on their way to ReferenceNet would be missing in the
    copy, a jump at every border of clips. Behind the two comes how the portrait moved to become the frame. Without
    motion frames the portrait stands for the frame too, and nothing moved.
    """
    if last is None:
        return torch.cat([reference, reference, torch.zeros_like(reference[:, :2])], dim=1)
    with torch.no_grad(), torch.autocast(reference.device.type, enabled=False):
        return torch.cat([reference, last, shift.found(reference, last).to(reference)], dim=1)
