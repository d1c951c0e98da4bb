"""The portrait's conditions: where the face is (FaceLocator) and whose it is (ImageProjection)."""

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from models.families.config import FaceLocatorConfig, ImageProjectionConfig


class FaceLocator(nn.Module):
    """Region mask [r 3 H W] -> a feature map at latent resolution, added behind the denoiser's first convolution."""

    def __init__(self, config: FaceLocatorConfig, out_channels: int) -> None:
        super().__init__()
        self.shrink = config.shrink
        self.conv_in = nn.Conv2d(3, config.channels[0], 3, padding=1)
        self.blocks = nn.ModuleList()
        for before, after in zip(config.channels[:-1], config.channels[1:], strict=True):
            self.blocks.append(nn.Conv2d(before, before, 3, padding=1))
            self.blocks.append(nn.Conv2d(before, after, 3, padding=1, stride=2))
        self.conv_out = nn.Conv2d(config.channels[-1], out_channels, 3, padding=1)

    def forward(self, region: Tensor) -> Tensor:
        """`region` [r 3 H W] in 0 … 1 -> [r c h w]."""
        if self.shrink > 1:
            region = F.avg_pool2d(region, self.shrink)
        x = F.silu(self.conv_in(region))
        for block in self.blocks:
            x = F.silu(block(x))
        return self.conv_out(x)


class ImageProjection(nn.Module):
    """Face embedding -> image tokens. All zeros stand for "no face given"."""

    def __init__(self, config: ImageProjectionConfig, token_width: int) -> None:
        super().__init__()
        self.tokens = config.tokens
        self.proj = nn.Linear(config.embedding_width, config.tokens * token_width)
        self.norm = nn.LayerNorm(token_width)

    def forward(self, embedding: Tensor) -> Tensor:
        """`embedding` [r e] -> [r t c]."""
        return self.norm(rearrange(self.proj(embedding), "r (t c) -> r t c", t=self.tokens))
