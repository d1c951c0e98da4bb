"""Text branch: a prompt scales and shifts what the spatial blocks give, before the audio modules hear it.

X + γ⊙LayerNorm(X) + β, with γ and β from an MLP at every site on the prompt's embedding (paper, section 4.3). The last
layers start at zero, so an untrained branch changes nothing. The weights are separate from the denoiser's.

Shapes: r rows, f frames, c channels, h w latent sides, e embedding.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from models.diffusion.unet import UNet
from models.families.config import TextConfig, UNetConfig


@dataclass(frozen=True)
class Modulation:
    """What a prompt does at one site: both [r c]."""

    scale: Tensor
    shift: Tensor


def modulate(x: Tensor, text: Modulation) -> Tensor:
    """`x` [(r f) c h w] -> X + γ⊙LayerNorm(X) + β, the norm over channels and without weights of its own."""
    rows = text.scale.shape[0]
    pixels = rearrange(x, "(r f) c h w -> r f h w c", r=rows)
    normed = F.layer_norm(pixels, pixels.shape[-1:])
    change = text.scale[:, None, None, None] * normed + text.shift[:, None, None, None]
    # Added to x as it lies in memory, so that a branch of zeros leaves even the layout, and so every bit, alone.
    return x + rearrange(change, "r f h w c -> (r f) c h w")


class TextBranch(nn.Module):
    """One MLP a site, and the learned embedding that stands for "no prompt"."""

    def __init__(self, config: TextConfig, unet: UNetConfig) -> None:
        super().__init__()
        self.null_embedding = nn.Parameter(torch.zeros(config.embedding_width))
        self.sites = nn.ModuleDict()
        for name, width in _site_widths(unet).items():
            last = nn.Linear(config.hidden_width, 2 * width)
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
            # A module's name cannot hold a dot.
            self.sites[name.replace(".", "/")] = nn.Sequential(
                nn.Linear(config.embedding_width, config.hidden_width), nn.SiLU(), last
            )

    def embeddings(self, prompts: Tensor, present: Tensor, *, guided: bool) -> Tensor:
        """`prompts` [lanes e], of which only those that are `present` [lanes] count -> [r e].

        Lanes without a prompt, and the unconditional half of guidance, take the null embedding.
        """
        null = self.null_embedding.to(prompts.dtype).expand_as(prompts)
        rows = torch.where(present[:, None], prompts, null)
        return torch.cat([null, rows]) if guided else rows

    def forward(self, embeddings: Tensor) -> dict[str, Modulation]:
        """`embeddings` [r e] -> the modulation at every site."""
        return {
            name.replace("/", "."): Modulation(*mlp(embeddings).chunk(2, dim=-1)) for name, mlp in self.sites.items()
        }


def _site_widths(unet: UNetConfig) -> dict[str, int]:
    with torch.device("meta"):
        sites = UNet(unet, conditioned=False).sites()
        return {site.name: site.level.attentions[site.index].norm.num_channels for site in sites}
