"""Names the expression of a drawn face, and how far its head is turned, beside a portrait of the same person.

It is trained on drawn portraits alone (`training/expression.py`) and shares no weights with any family, so prompts can
be judged with it. It looks at one square, cut around the portrait's face from portrait and frame alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from models.measures.face_reader import EXPRESSIONS, Block

AROUND = 1.25  # side of the square over the larger side of the face's box


@dataclass(frozen=True)
class ExpressionReaderConfig:
    side: int = 96
    widths: tuple[int, ...] = (24, 48, 96, 96)
    """Of the maps at a half, a quarter, an eighth and a sixteenth of the side."""
    groups: int = 8


class ExpressionReader(nn.Module):
    def __init__(self, config: ExpressionReaderConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or ExpressionReaderConfig()
        levels = []
        for before, width in zip((6, *config.widths), config.widths, strict=False):
            levels.append(nn.Sequential(nn.Conv2d(before, width, 3, 2, 1), Block(width, config.groups)))
        self.levels = nn.Sequential(*levels)
        self.squeeze = nn.Conv2d(config.widths[-1], 32, 1)
        cells = (config.side // 2 ** len(config.widths)) ** 2
        self.whole = nn.Sequential(nn.Linear(32 * cells, 128), nn.SiLU(), nn.Dropout(0.1))
        self.out = nn.Linear(128, len(EXPRESSIONS) + 1)

    def forward(self, portraits: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Cuts [n 3 side side] in 0..1 -> logits of expressions [n 8], yaw in radians [n]."""
        x = self.levels(torch.cat([portraits * 2 - 1, (frames - portraits) * 2], dim=1))
        found = self.out(self.whole(F.silu(self.squeeze(x)).flatten(1))).float()
        return found[:, :-1], found[:, -1]

    def read(self, portrait: Tensor, frames: Tensor, face: tuple[float, float, float, float]) -> tuple[Tensor, Tensor]:
        """Portrait [3 S S], frames [n 3 S S], the portrait's face x0, y0, x1, y1 in pixels -> as `forward`."""
        cuts = cut(torch.cat([portrait[None], frames]), face, self.config.side)
        return self(cuts[:1].expand(len(frames), -1, -1, -1), cuts[1:])


def square(face: Tensor) -> Tensor:
    """Boxes [n 4] -> the squares around them that are looked at [n 4]."""
    middle = (face[:, :2] + face[:, 2:]) / 2
    half = (face[:, 2:] - face[:, :2]).amax(1, keepdim=True) * (AROUND / 2)
    return torch.cat([middle - half, middle + half], dim=1)


def cut(pictures: Tensor, face: tuple[float, float, float, float], side: int) -> Tensor:
    """Pictures [n 3 S S] -> [n 3 side side]; what lies outside of them repeats their edge."""
    x0, y0, x1, y1 = (round(float(edge)) for edge in square(torch.tensor([face], dtype=torch.float32))[0])
    size = pictures.shape[-1]
    rows = torch.arange(y0, max(y1, y0 + 1)).clamp(0, size - 1)
    columns = torch.arange(x0, max(x1, x0 + 1)).clamp(0, size - 1)
    found = pictures[:, :, rows][:, :, :, columns]
    return F.interpolate(found, size=(side, side), mode="bilinear", antialias=True, align_corners=False)


def load_expression_reader(path: Path) -> ExpressionReader:
    """From a file of stage `expression`."""
    network = ExpressionReader()
    network.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    return network.eval().requires_grad_(False)
