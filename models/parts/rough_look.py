"""How a GOP looks to families whose latents begin as cosines: their rough pictures, held beside the portrait's.

The first cosines of every square make a picture by themselves, which no decoder is needed for; what a decoder adds
follows from the latents, too. What latents cannot say of a portrait is missing on both sides, so the measures are of
what the chain did. Steps from frame to frame and lips are read from the latents of all frames.

Shapes: f frames, c latent channels, h w latent sides; pictures [n 3 s s] in 0..1, boxes x0, y0, x1, y1.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from models.autoencoder.cosines import Cosines
from models.families.protocol import Made
from models.parts.heard_look import changes

FRAMES = 4  # of a GOP whose pictures are made
LIKENESS = 24  # a side, of the small picture by which a face is recognised
LUMA = torch.tensor([0.299, 0.587, 0.114])


class RoughLook:
    def __init__(self, cosines: Cosines) -> None:
        self._cosines = cosines

    @torch.inference_mode()
    def __call__(self, made: Made) -> dict[str, float]:
        """`likeness`: of the face, 1 is the portrait, of the worst frame; `sharpness`, `grain`: of the face over the
        portrait's, in the median; `colour`: largest change of a channel's mean, of 1; `jump`, `still`: largest and
        smallest step from a frame to the next, of the state before included; `lips`: how far the mouth moves, where
        loudness changes."""
        latents = torch.from_numpy(made.latents).float()
        places = np.linspace(0, len(latents) - 1, FRAMES + 1).round().astype(int)[1:]
        reference = torch.from_numpy(made.conditioning["reference"])[None]
        pictures = self._cosines.join(torch.cat([reference, latents[torch.from_numpy(places)]])) / 2 + 0.5
        box = made.conditioning["face_box"] * (pictures.shape[-1] / made.options.base_size)
        faces = _cut(pictures, box)
        small, sharp, grain, colours = _small(faces), _sharpness(faces), _grain(faces), pictures.mean((2, 3))
        steps = _steps(torch.cat([torch.from_numpy(made.before["motion"][-1:]).float(), latents]))
        return {
            "likeness": float((small[1:] * small[0]).sum(1).min()),
            "sharpness": float(sharp[1:].median() / sharp[0]),
            "grain": float(grain[1:].median() / grain[0]),
            "colour": float((colours[1:] - colours[0]).abs().max()),
            "jump": float(steps.max()),
            "still": float(steps.min()),
            **({"lips": _lips(latents, made)} if changes(made.features) else {}),
        }


def blended(before: Tensor, latents: Tensor, frames: int) -> Tensor:
    """Latents [f c h w] whose first frames come out of the frame [c h w] before them, which stands still meanwhile."""
    frames = min(frames, len(latents))
    share = (torch.arange(1, frames + 1) / (frames + 1))[:, None, None, None]
    mixed = before.float() * (1 - share) + latents[:frames].float() * share
    return torch.cat([mixed.to(latents.dtype), latents[frames:]])


def _cut(pictures: Tensor, box: NDArray[np.floating]) -> Tensor:
    side = pictures.shape[-1]
    x0, y0 = (int(min(max(round(float(edge)), 0), side - 8)) for edge in box[:2])
    x1, y1 = (int(min(max(round(float(edge)), low + 8), side)) for edge, low in zip(box[2:], (x0, y0), strict=True))
    return pictures[:, :, y0:y1, x0:x1]


def _small(faces: Tensor) -> Tensor:
    """[n 3 h w] -> [n 24·24·3], small and out of focus, at mean 0 and length 1."""
    small = F.interpolate(faces, (LIKENESS, LIKENESS), mode="area")
    flat = (small - small.mean((2, 3), keepdim=True)).flatten(1)
    return flat / flat.norm(dim=1, keepdim=True).clamp_min(1e-3)


def _grey(faces: Tensor) -> Tensor:
    return torch.einsum("nchw,c->nhw", faces, LUMA)


def _sharpness(faces: Tensor) -> Tensor:
    """[n]: mean step between neighbouring pixels."""
    grey = _grey(faces)
    return (grey.diff(dim=1).abs().mean((1, 2)) + grey.diff(dim=2).abs().mean((1, 2))).clamp_min(1e-5)


def _grain(faces: Tensor) -> Tensor:
    """[n]: mean of what a 3 x 3 median takes away: speckle, which sharpness mistakes for detail."""
    grey = _grey(faces)
    windows = F.unfold(F.pad(grey[:, None], (1, 1, 1, 1), mode="replicate"), 3)
    return (grey.flatten(1) - windows.median(1).values).abs().mean(1).clamp_min(1e-5)


def _steps(latents: Tensor) -> NDArray[np.float64]:
    """[f]: root mean square of the way from each frame to the next."""
    found: NDArray[np.float64] = latents.diff(dim=0).square().mean((1, 2, 3)).sqrt().double().numpy()
    return found


def _lips(latents: Tensor, made: Made) -> float:
    """Root mean square of how far the latents of the mouth's cells go from their mean."""
    x0, y0, x1, y1 = made.conditioning["lip_box"] * (latents.shape[-1] / made.options.base_size)
    rows = slice(int(y0), max(int(np.ceil(y1)), int(y0) + 1))
    columns = slice(int(x0), max(int(np.ceil(x1)), int(x0) + 1))
    mouth = latents[:, :, rows, columns]
    return float((mouth - mouth.mean(0)).square().mean().sqrt())
