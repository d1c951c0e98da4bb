"""Reads a face: landmarks, parse map, pose, expression and an identity embedding from one picture.

It is trained on drawn portraits (`training/face.py`) and shares no weights with any family, so what a family renders
can be measured with it. Shapes: n pictures, H x W pixels, k landmarks, l labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

NUMBERS = (
    "yaw", "pitch", "roll", "smile", "brow", "brow_inner", "brow_uneven", "lids", "squint", "opening", "blink",
)  # fmt: skip
"""What is read as numbers: angles in radians, the others as `training.pose.Pose` has them."""
EXPRESSIONS = ("neutral", "smile", "frown", "surprise", "angry", "sad", "sleepy", "doubt")
REGIONS = (
    "background", "skin", "brows", "eyes", "glasses", "ears", "inner_mouth", "lips", "neck", "clothes", "hair", "hat",
)  # fmt: skip
"""Labels of the parse map, in order."""
FACE = ("skin", "brows", "eyes", "glasses", "inner_mouth", "lips")


@dataclass(frozen=True)
class FaceReaderConfig:
    side: int = 128
    """Pictures are brought to this size first."""
    widths: tuple[int, ...] = (24, 48, 96, 128)
    """Of the maps at a half, a quarter, an eighth and a sixteenth of the side."""
    embedding: int = 64
    landmarks: int = 18
    groups: int = 8


class FaceReading(NamedTuple):
    landmarks: Tensor  # [n, k, 2] x and y, -1..1 over the picture
    regions: Tensor  # [n, l, side/4, side/4] logits
    numbers: Tensor  # [n, len(NUMBERS)]
    expressions: Tensor  # [n, len(EXPRESSIONS)] logits
    embedding: Tensor  # [n, embedding], of length 1

    def expression(self) -> list[str]:
        """The name of each picture's most likely expression."""
        return [EXPRESSIONS[place] for place in self.expressions.argmax(1).tolist()]

    def face_mask(self, size: tuple[int, int]) -> Tensor:
        """[n, 1, *size]: how likely every pixel is of the face, 0..1."""
        shares = self.regions.softmax(1)[:, [REGIONS.index(name) for name in FACE]].sum(1, keepdim=True)
        return F.interpolate(shares, size=size, mode="bilinear", align_corners=False)


class Block(nn.Module):
    """Two convolutions around a shortcut."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(groups, channels), nn.GroupNorm(groups, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.silu(self.norm2(self.conv1(F.silu(self.norm1(x))))))


class FaceReader(nn.Module):
    def __init__(self, config: FaceReaderConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or FaceReaderConfig()
        widths, levels = config.widths, []
        for before, width in zip((3, *widths), widths, strict=False):
            levels.append(nn.Sequential(nn.Conv2d(before, width, 3, 2, 1), Block(width, config.groups)))
        self.levels = nn.ModuleList(levels)
        self.lift = nn.ModuleList(nn.Conv2d(width, widths[1], 1) for width in widths[2:])
        self.maps = nn.Sequential(
            Block(widths[1], config.groups), nn.Conv2d(widths[1], len(REGIONS) + config.landmarks, 1)
        )
        self.whole = nn.Sequential(nn.Linear(2 * widths[-1] + 2 * config.landmarks, 256), nn.SiLU())
        self.numbers = nn.Linear(256, len(NUMBERS))
        self.expressions = nn.Linear(256, len(EXPRESSIONS))
        self.embedding = nn.Linear(256, config.embedding)

    def forward(self, pictures: Tensor) -> FaceReading:
        """pictures [n 3 H W] in 0..1."""
        size = (self.config.side, self.config.side)
        if tuple(pictures.shape[-2:]) != size:
            pictures = F.interpolate(pictures, size=size, mode="bilinear", antialias=True, align_corners=False)
        found, x = [], pictures * 2 - 1
        for level in self.levels:
            x = level(x)
            found.append(x)
        fine = found[1]
        for lift, coarse in zip(self.lift, found[2:], strict=True):
            fine = fine + F.interpolate(lift(coarse), size=fine.shape[-2:], mode="bilinear", align_corners=False)
        regions, heat = self.maps(fine).float().split([len(REGIONS), self.config.landmarks], dim=1)
        landmarks = _centres(heat)
        deep = found[-1].float()
        whole = torch.cat([deep.mean((2, 3)), deep.amax((2, 3)), landmarks.flatten(1)], dim=1)
        whole = self.whole(whole.to(self.numbers.weight.dtype))
        embedding = F.normalize(self.embedding(whole).float(), dim=1)
        return FaceReading(landmarks, regions, self.numbers(whole), self.expressions(whole), embedding)


def load_face_reader(path: Path, device: torch.device | str = "cpu") -> FaceReader:
    """From a file of stage `face`."""
    network = FaceReader()
    network.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    return network.eval().requires_grad_(False).to(device)


def _centres(heat: Tensor) -> Tensor:
    """Maps [n, k, h, w] -> the mean place of each [n, k, 2], x and y, weighted by the map's softmax."""
    height, width = heat.shape[-2:]
    shares = heat.flatten(2).softmax(-1).unflatten(2, (height, width))
    across = (torch.arange(width, device=heat.device) + 0.5) * 2 / width - 1
    down = (torch.arange(height, device=heat.device) + 0.5) * 2 / height - 1
    return torch.stack([(shares.sum(2) * across).sum(-1), (shares.sum(3) * down).sum(-1)], dim=-1)
