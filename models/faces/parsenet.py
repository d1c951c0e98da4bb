"""The face parser: which of 19 parts each pixel of an aligned face is (published name ParseNet).

Tensor names are those of the published `parsing_parsenet.pth`. Shapes: n images, h x w pixels.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.families.upscale_config import ParserConfig

SLOPE = 0.2  # of the leaky ReLUs
FACE_LABELS = tuple(label for label in range(19) if label not in (0, 14, 16, 17, 18))


class Norm(nn.Module):
    """Batch norm one level deeper, as the published names have it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x)


class ConvLayer(nn.Module):
    """Optional nearest x2, mirrored border, 3x3 convolution (stride 2 to halve), optional norm and leaky ReLU."""

    def __init__(
        self, channels_in: int, channels_out: int, scale: str = "none", norm: bool = False, relu: bool = False
    ) -> None:
        super().__init__()
        self.up = scale == "up"
        self.relu = relu
        stride = 2 if scale == "down" else 1
        self.conv2d = nn.Conv2d(channels_in, channels_out, 3, stride=stride, bias=not norm)
        if norm:
            self.norm = Norm(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        if self.up:
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        x = self.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"))
        if hasattr(self, "norm"):
            x = self.norm(x)
        return F.leaky_relu(x, SLOPE) if self.relu else x


class ResidualBlock(nn.Module):
    """Two convolutions around a shortcut, which is a convolution itself where the shape changes."""

    def __init__(self, channels_in: int, channels_out: int, scale: str = "none") -> None:
        super().__init__()
        if scale != "none" or channels_in != channels_out:
            self.shortcut_func = ConvLayer(channels_in, channels_out, scale)
        first, second = {"down": ("none", "down"), "up": ("up", "none"), "none": ("none", "none")}[scale]
        self.conv1 = ConvLayer(channels_in, channels_out, first, norm=True, relu=True)
        self.conv2 = ConvLayer(channels_out, channels_out, second, norm=True)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = self.shortcut_func(x) if hasattr(self, "shortcut_func") else x
        return shortcut + self.conv2(self.conv1(x))


class FaceParser(nn.Module):
    """Aligned faces [n, 3, h, w], RGB in [-1, 1], h and w divided by 16 -> label scores [n, 19, h, w]."""

    def __init__(self, config: ParserConfig | None = None) -> None:
        super().__init__()
        config = config or ParserConfig()
        widths = [min(config.width << level, config.widest) for level in range(config.downs + 1)]
        steps = list(pairwise(widths))
        self.encoder = nn.Sequential(
            ConvLayer(3, widths[0]), *(ResidualBlock(fine, coarse, "down") for fine, coarse in steps)
        )
        self.body = nn.Sequential(*(ResidualBlock(widths[-1], widths[-1]) for _ in range(config.depth)))
        self.decoder = nn.Sequential(*(ResidualBlock(coarse, fine, "up") for fine, coarse in steps[::-1]))
        # The file also has a picture output, which no step here uses; its weights need a place all the same.
        self.out_img_conv = ConvLayer(widths[0], 3)
        self.out_mask_conv = ConvLayer(widths[0], config.labels)

    def features(self, faces: Tensor) -> Tensor:
        x = self.encoder(faces)
        return self.decoder(x + self.body(x))

    def forward(self, faces: Tensor) -> Tensor:
        return self.out_mask_conv(self.features(faces))


@torch.inference_mode()
def face_labels(net: nn.Module, faces: Tensor) -> Tensor:
    """Aligned faces [n, 3, h, w] in [-1, 1] -> labels [n, h, w] int64."""
    return net(faces).argmax(1)
