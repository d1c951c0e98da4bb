"""Stage `autoencoder`: pixels to latents and back, on crops of procedural portraits.

Loss: L1, gradients at three scales, and 4·MSE, each pixel by its importance; noise on the latents makes them
smooth, and a light pull keeps every channel at mean 0 and variance 1. A share of the examples is decoded from latents
moved by a part of a cell and compared with the picture moved as far (the equivariance of EQ-VAE, arXiv 2502.09509).
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from models.autoencoder.vae import Vae
from models.data.portrait_crops import People, importance, tiled
from models.drawn.motion import stills
from models.families.config import VaeConfig
from models.families.mini import MINI
from models.training.options import plain, read_options
from models.training.settings import BadSettings, Settings
from models.training.stage import Batch
from models.weights.recipes import RECIPES


@dataclass(frozen=True)
class Options:
    side: int = 128
    """Of the crops, pixels."""
    picture: int = 256
    """Of the whole picture that they are crops of, shrunk as the family shrinks them."""
    identities: int = 4096
    fine_weight: float = 4.0
    latent_noise: float = 0.05
    equivariance: float = 0.25
    """Share of the examples whose latents are moved."""
    gradient: float = 1.0
    square: float = 4.0
    spread: float = 0.02
    compile: bool = False
    """Whether the network is compiled."""
    compile_renderer: bool = False
    """Whether the renderer is: its one large kernel takes minutes to compile."""
    vae: dict[str, Any] | None = None
    """What differs from family mini's autoencoder."""


class TrainingStage:
    def __init__(self, settings: Settings, device: torch.device) -> None:
        self.options = _options(settings)
        self.settings, self.device = settings, device
        # Pictures are drawn as small as the autoencoder would make them: its weights are the same at any size.
        small = replace(MINI.vae, shrink=1)
        self.config = replace(small, **{k: plain(v) for k, v in (self.options.vae or {}).items()})
        if self.options.side % self.config.factor:
            raise BadSettings(f"options: side is {self.options.side}, no multiple of {self.config.factor}")
        vae = Vae(self.config)
        if self.config.cosines:
            vae.start_rough()
        self.network: nn.Module = vae.to(device)
        self._people = People.of("train", self.options.identities, device, compiled=self.options.compile_renderer)
        self._unseen = People.of("validation", 12, device)
        self._through = torch.compile(self._encode_decode) if self.options.compile else self._encode_decode

    def batch(self, step: int, generator: Generator) -> Batch:
        options, number, factor = self.options, self.settings.batch, self.config.factor
        margin = factor if options.equivariance > 0 else 0
        drawing = self._people.crops(number, options.side + margin, options.picture, generator)
        moved = (torch.rand(number, generator=generator) < options.equivariance).long()
        offsets = torch.randint(margin + 1, (number, 2), generator=generator) * moved[:, None]
        pixels, weight = drawing.picture * 2 - 1, importance(drawing.labels, options.fine_weight)
        side = options.side
        places = offsets.tolist()
        seen = torch.ones(number, 1, side, side, device=self.device)
        for row, (down, across) in enumerate(places):  # what no latent of the first crop holds
            if down or across:
                seen[row, :, side - down - factor // 2 :] = 0
                seen[row, :, :, side - across - factor // 2 :] = 0
        shape = (number, self.config.latent_channels, side // factor, side // factor)
        return {
            "pixels": pixels[..., :side, :side],
            "wanted": _cut(pixels, places, side),
            "weight": _cut(weight, places, side) * seen,
            "offsets": (offsets / factor).to(self.device),
            "noise": (torch.randn(shape, generator=generator) * options.latent_noise).to(self.device),
        }

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        options, weight = self.options, batch["weight"]
        latents, decoded = self._through(batch["pixels"], batch["offsets"], batch["noise"])
        latents, decoded, wanted = latents.float(), decoded.float(), batch["wanted"]
        error = decoded - wanted
        parts = {
            "l1": (error.abs() * weight).mean(),
            "square": (error.square() * weight).mean(),
            "gradient": _gradient_error(error, weight),
            "spread": latents.mean((0, 2, 3)).square().mean()
            + latents.var((0, 2, 3)).clamp_min(1e-6).log().square().mean(),
        }
        shares = {"l1": 1.0, "square": options.square, "gradient": options.gradient, "spread": options.spread}
        return sum((share * parts[name] for name, share in shares.items()), torch.zeros_like(error[0, 0, 0, 0])), parts

    @torch.no_grad()
    def score(self, network: nn.Module) -> dict[str, float]:
        """PSNR of unseen people in decibels: whole pictures, what is fine in them, and after 20 round trips."""
        pictures, fine = self._check_pictures(12)
        once = _round_trip(network, pictures)
        many = once
        for _ in range(19):
            many = _round_trip(network, many)
        everywhere = torch.ones_like(fine)
        return {
            "psnr": _psnr(once, pictures, everywhere),
            "psnr_fine": _psnr(once, pictures, fine),
            "psnr_20_trips": _psnr(many, pictures, everywhere),
        }

    @torch.no_grad()
    def samples(self, network: nn.Module) -> Tensor:
        """Unseen people, and below them what the autoencoder makes of them."""
        pictures, _ = self._check_pictures(4)
        return tiled([pictures, _round_trip(network, pictures)])

    def weights(self, network: nn.Module) -> dict[str, dict[str, Tensor]]:
        return {"vae.safetensors": RECIPES["vae"].holder(network).state_dict()}

    def _encode_decode(self, pixels: Tensor, offsets: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        vae: Any = self.network
        latents = vae.encode(pixels)
        moved = _move(latents, offsets) if self.options.equivariance > 0 else latents
        return latents, vae.decode_raw(moved + noise)

    def _check_pictures(self, number: int) -> tuple[Tensor, Tensor]:
        """Always the same whole pictures, at most 512 wide, and where they are fine."""
        generator = torch.Generator().manual_seed(0)
        held = stills(number, generator).to(self.device)
        people = self._unseen.pool.rows(torch.arange(number, device=self.device))
        drawing = self._unseen.drawn(people, held, self.options.picture)
        return drawing.picture, importance(drawing.labels, 2.0) - 1


def _options(settings: Settings) -> Options:
    options = read_options(Options, settings)
    sizes = {field.name for field in fields(VaeConfig)}
    unknown = [f"vae.{name}" for name in options.vae or {} if name not in sizes]
    if unknown:
        raise BadSettings(f"options has unknown keys {unknown}: an autoencoder has {sorted(sizes)}")
    return options


def _cut(pictures: Tensor, places: list[list[int]], side: int) -> Tensor:
    """From every picture the square that begins at its place."""
    rows = zip(pictures, places, strict=True)
    return torch.stack([picture[:, down : down + side, across : across + side] for picture, (down, across) in rows])


def _move(latents: Tensor, offsets: Tensor) -> Tensor:
    """Latents [b c h w] read `offsets` [b 2] cells further down and to the right; the edge is repeated."""
    height, width = latents.shape[-2:]
    rows = torch.arange(height, device=latents.device) + offsets[:, 0, None]
    columns = torch.arange(width, device=latents.device) + offsets[:, 1, None]
    y = (2 * rows + 1) / height - 1
    x = (2 * columns + 1) / width - 1
    places = torch.stack([x[:, None, :].expand(-1, height, -1), y[:, :, None].expand(-1, -1, width)], dim=-1)
    return F.grid_sample(latents.float(), places, mode="bilinear", padding_mode="border", align_corners=False)


def _gradient_error(error: Tensor, weight: Tensor) -> Tensor:
    """Mean difference of neighbouring errors at full, half and quarter size."""
    total = torch.zeros_like(error[0, 0, 0, 0])
    for _ in range(3):
        across = (error[..., 1:] - error[..., :-1]).abs() * weight[..., 1:]
        down = (error[..., 1:, :] - error[..., :-1, :]).abs() * weight[..., 1:, :]
        total = total + across.mean() + down.mean()
        error, weight = F.avg_pool2d(error, 2), F.avg_pool2d(weight, 2)
    return total / 3


def _round_trip(network: nn.Module, pictures: Tensor) -> Tensor:
    vae: Any = network
    return torch.cat([vae.decode(vae.encode(picture[None] * 2 - 1)) for picture in pictures])


def _psnr(found: Tensor, wanted: Tensor, where: Tensor) -> float:
    """Mean over pictures, in decibels, of the pixels that `where` [b 1 h w] names."""
    error = ((found - wanted).square() * where).sum((1, 2, 3)) / (3 * where.sum((1, 2, 3))).clamp_min(1)
    return float((-10 * torch.log10(error.clamp_min(1e-10))).mean())
