"""The face detector's network: RetinaFace on a ResNet-50 with a feature pyramid.

Tensor names are those of the published `detection_Resnet50_Final.pth` without its prefix `module.`.
What its outputs mean is in `models.faces.detection`. Shapes: n images, h x w pixels, a anchors.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from models.families.upscale_config import DetectorConfig

ANCHORS_A_CELL = 2


class RawFaces(NamedTuple):
    boxes: Tensor  # [n, a, 4] offsets from the anchors
    scores: Tensor  # [n, a, 2] probabilities of: no face, face
    landmarks: Tensor  # [n, a, 10] offsets from the anchors' centres


class Bottleneck(nn.Module):
    """1x1, 3x3 (which carries the stride), 1x1 to four times the width."""

    def __init__(self, channels_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or channels_in != 4 * width:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels_in, 4 * width, 1, stride=stride, bias=False), nn.BatchNorm2d(4 * width)
            )

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.bn1(self.conv1(x)))
        h = F.relu(self.bn2(self.conv2(h)))
        return F.relu(self.bn3(self.conv3(h)) + self.downsample(x))


class Body(nn.Module):
    """ResNet-50 without its classifier: the maps at strides 8, 16 and 32."""

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        channels = config.width
        self.conv1 = nn.Conv2d(3, channels, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        for index, depth in enumerate(config.layers):
            width = config.width << index
            blocks = []
            for block in range(depth):
                blocks.append(Bottleneck(channels, width, 2 if index and not block else 1))
                channels = 4 * width
            self.add_module(f"layer{index + 1}", nn.Sequential(*blocks))

    def forward(self, x: Tensor) -> list[Tensor]:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, stride=2, padding=1)
        maps = []
        for name in ("layer1", "layer2", "layer3", "layer4"):
            x = self.get_submodule(name)(x)
            maps.append(x)
        return maps[1:]


def conv_norm(channels_in: int, channels_out: int, kernel: int, relu: bool) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(channels_out),
    ]
    return nn.Sequential(*layers, nn.ReLU()) if relu else nn.Sequential(*layers)


class Pyramid(nn.Module):
    """Every finer map is given what the coarser ones saw."""

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        width = config.pyramid
        self.output1 = conv_norm(8 * config.width, width, 1, relu=True)
        self.output2 = conv_norm(16 * config.width, width, 1, relu=True)
        self.output3 = conv_norm(32 * config.width, width, 1, relu=True)
        self.merge1 = conv_norm(width, width, 3, relu=True)
        self.merge2 = conv_norm(width, width, 3, relu=True)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        fine, middle, coarse = self.output1(maps[0]), self.output2(maps[1]), self.output3(maps[2])
        middle = self.merge2(middle + F.interpolate(coarse, size=middle.shape[-2:], mode="nearest"))
        fine = self.merge1(fine + F.interpolate(middle, size=fine.shape[-2:], mode="nearest"))
        return [fine, middle, coarse]


class Context(nn.Module):
    """Three branches that see 3, 5 and 7 pixels a side (the published name is SSH)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        half, quarter = width // 2, width // 4
        self.conv3X3 = conv_norm(width, half, 3, relu=False)
        self.conv5X5_1 = conv_norm(width, quarter, 3, relu=True)
        self.conv5X5_2 = conv_norm(quarter, quarter, 3, relu=False)
        self.conv7X7_2 = conv_norm(quarter, quarter, 3, relu=True)
        self.conv7x7_3 = conv_norm(quarter, quarter, 3, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        shared = self.conv5X5_1(x)
        branches = [self.conv3X3(x), self.conv5X5_2(shared), self.conv7x7_3(self.conv7X7_2(shared))]
        return F.relu(torch.cat(branches, dim=1))


class Head(nn.Module):
    """`values` numbers for each of a cell's anchors."""

    def __init__(self, width: int, values: int) -> None:
        super().__init__()
        self.values = values
        self.conv1x1 = nn.Conv2d(width, ANCHORS_A_CELL * values, 1)

    def forward(self, x: Tensor) -> Tensor:
        return rearrange(self.conv1x1(x), "n (k v) h w -> n (h w k) v", v=self.values)


class FaceDetector(nn.Module):
    """Images [n, 3, h, w], BGR 0..255 less the means of `models.faces.detection` -> numbers for each anchor."""

    def __init__(self, config: DetectorConfig | None = None) -> None:
        super().__init__()
        config = config or DetectorConfig()
        width = config.pyramid
        self.body = Body(config)
        self.fpn = Pyramid(config)
        self.ssh1 = Context(width)
        self.ssh2 = Context(width)
        self.ssh3 = Context(width)
        self.ClassHead = nn.ModuleList(Head(width, 2) for _ in range(3))
        self.BboxHead = nn.ModuleList(Head(width, 4) for _ in range(3))
        self.LandmarkHead = nn.ModuleList(Head(width, 10) for _ in range(3))

    def forward(self, images: Tensor) -> RawFaces:
        maps = self.fpn(self.body(images))
        maps = [context(x) for context, x in zip((self.ssh1, self.ssh2, self.ssh3), maps, strict=True)]

        def join(heads: nn.ModuleList) -> Tensor:
            return torch.cat([head(x) for head, x in zip(heads, maps, strict=True)], dim=1)

        return RawFaces(join(self.BboxHead), join(self.ClassHead).softmax(-1), join(self.LandmarkHead))
