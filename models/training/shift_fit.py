"""Fits what a movement does to latents (`models.diffusion.latent_shift`), in closed form, on pictures."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from models.autoencoder.vae import Vae
from models.diffusion.latent_shift import POWERS, SIDE

PICTURES = 96
REPEATS = 6  # movements of every picture
EDGE = 3  # latents at the border that are left out: what comes in from beyond nobody knows
RIDGE = 1e-3


def fitted_once(path: Path, vae: Vae, latents: Tensor) -> Tensor:
    """Kernels from what some of these latents [n c h w] show, kept in the file `path`: fitting takes minutes."""
    if not path.exists():
        chosen = latents[:: max(1, len(latents) // PICTURES)][:PICTURES].float()
        with torch.no_grad():
            pictures = torch.cat([vae.decode(part) for part in chosen.split(8)])
        fresh = path.with_suffix(".part")
        torch.save(fitted(vae, pictures, Generator().manual_seed(0)).cpu(), fresh)
        fresh.rename(path)
    kernels: Tensor = torch.load(path, map_location=latents.device, weights_only=True)
    return kernels


@torch.no_grad()
def fitted(vae: Vae, pictures: Tensor, generator: Generator) -> Tensor:
    """Kernels for pictures [n 3 s s], 0 … 1: least squares over movements by up to half a latent."""
    channels, number = vae.config.latent_channels, 0
    size = channels * SIDE**2
    squares = torch.zeros(len(POWERS) * size, len(POWERS) * size, dtype=torch.float64, device=pictures.device)
    products = torch.zeros(len(POWERS) * size, channels, dtype=torch.float64, device=pictures.device)
    for picture in pictures.split(8):
        latents = vae.encode(picture)
        around = F.unfold(latents, SIDE, padding=SIDE // 2).unflatten(2, latents.shape[-2:])
        for _ in range(REPEATS):
            by = torch.rand(len(picture), 2, generator=generator).to(picture) - 0.5
            gone = vae.encode(moved(picture, by * vae.config.factor)) - latents
            powers = torch.stack([by[:, 0] ** i * by[:, 1] ** j for i, j in POWERS], 1)
            given = torch.einsum("nk,nphw->nhwkp", powers, around)[:, EDGE:-EDGE, EDGE:-EDGE].flatten(3).flatten(0, 2)
            wanted = gone.permute(0, 2, 3, 1)[:, EDGE:-EDGE, EDGE:-EDGE].flatten(0, 2)
            squares += (given.T @ given).double()
            products += (given.T @ wanted).double()
            number += len(given)
    squares += torch.diag(RIDGE * squares.diagonal() + 1e-9 * number)
    found = torch.linalg.solve(squares, products)  # [k·c·5·5, c]
    return found.T.reshape(channels, len(POWERS), channels, SIDE, SIDE).transpose(0, 1).flatten(0, 1).float()


def moved(pictures: Tensor, by: Tensor) -> Tensor:
    """Pictures [n c s s] as they look from `by` [n 2], in pixels to the right and down."""
    matrix = torch.eye(2, 3, device=by.device).repeat(len(by), 1, 1)
    matrix[:, :, 2] = 2 * by / by.new_tensor([pictures.shape[-1], pictures.shape[-2]])
    grid = F.affine_grid(matrix, list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures, grid, "bicubic", "border", align_corners=False).clamp(0, 1)
