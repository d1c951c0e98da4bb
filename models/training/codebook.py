"""Stage `codebook`: the vector-quantised autoencoder that the restorer's codes come from, on clean crops of portraits.

Loss: L1 and gradients of the picture, and what draws codes and features together (VQ-VAE, equation 3). The run begins
as a plain autoencoder whose features the codes follow: quantised from the start, features are drawn to the few codes
that lie near them before the generator has any use for them, and stay there. Until three quarters of the run, codes
that a batch does not use are put where some of its features are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from torch import Generator, Tensor, nn

from models.data.clip_pool import ClipPool
from models.data.clips import Moves, draw_clips
from models.data.portrait_crops import People, tiled
from models.families.mini import MINI
from models.restoration.codebook import CodebookAutoencoder, Quantised
from models.training.measures import gradient_error, psnr
from models.training.options import plain, read_options
from models.training.peers import share
from models.training.settings import BadSettings, Settings
from models.training.stage import Batch

PICTURE = 512  # of whose crops codes are learned, pixels a side
REVISION = 1  # of what a pool of clips holds


@dataclass(frozen=True)
class Options:
    side: int = 256
    """Of the crops, pixels."""
    frames: int = 16
    """Of the clips of the pool, of which each example is one frame."""
    identities: int = 4096
    pool: int = 0
    """Clips that are drawn beforehand and kept in files; 0 draws every batch anew."""
    pool_folder: str = "out/training/pools"
    gradient: float = 1.0
    codes: float = 1.0
    """Weight of the loss of codes and features."""
    plain: float = 0.25
    """Share of the steps, the first ones, in which features go to the generator as they are."""
    revive: float = 0.75
    """Share of the steps during which idle codes are moved."""
    compile: bool = False
    compile_renderer: bool = False
    network: dict[str, Any] | None = None
    """What differs from family mini's codebook."""


class Clips:
    """Where the clips of the stages `codebook` and `restorer` come from: the same pool serves both."""

    def __init__(
        self, identities: int, frames: int, side: int, pool: int, folder: str, compiled: bool, device: torch.device
    ) -> None:
        self.frames, self.side, self.device = frames, side, device
        self.moves = Moves.of(0, 64)
        self.people = People.of("train", identities, device, compiled=compiled)
        self.unseen = People.of("validation", 16, device)
        facts = {"what": "clips", "revision": REVISION, "side": side, "frames": frames, "identities": identities}
        self._pool = ClipPool(Path(folder), pool, facts, self.draw) if pool else None

    def draw(self, number: int, generator: Generator) -> Tensor:
        sizes = torch.full((number,), PICTURE)
        return draw_clips(self.people, self.moves, number, self.frames, self.side, sizes, generator)

    def some(self, number: int, generator: Generator) -> Tensor:
        """[n f 3 side side] in 0..1 on the device."""
        if self._pool is None:
            return self.draw(number, generator)
        return self._pool.some(number, generator).to(self.device).float() / 255

    def check(self, number: int, frames: int, side: int) -> Tensor:
        """Always the same clips of unseen people."""
        generator = torch.Generator().manual_seed(2)
        sizes = torch.full((number,), PICTURE)
        return draw_clips(self.unseen, self.moves, number, frames, side, sizes, generator)


class TrainingStage:
    def __init__(self, settings: Settings, device: torch.device) -> None:
        self.options = options = read_options(Options, settings)
        self.settings, self.device = settings, device
        book = replace(MINI.restorer.codebook, **{name: plain(v) for name, v in (options.network or {}).items()})
        if options.side % (book.side // book.grid):
            raise BadSettings(f"options: side is {options.side}, no multiple of {book.side // book.grid}")
        self._book = CodebookAutoencoder(book).to(device)
        self.network: nn.Module = self._book
        spread = torch.randn(book.codes, book.code_width) / book.code_width**0.5
        self._book.quantize.embedding.weight.data.copy_(spread)
        self._through = torch.compile(self._both) if options.compile else self._both
        self._clips = Clips(
            options.identities, options.frames, options.side, options.pool, options.pool_folder,
            options.compile_renderer, device,
        )  # fmt: skip

    def batch(self, step: int, generator: Generator) -> Batch:
        options, number, codes = self.options, self.settings.batch, self._book.config.codes
        clips = self._clips.some(-(-number // 2), generator)  # two frames of each
        frames = torch.randint(options.frames, (number,), generator=generator)
        pictures = clips[torch.arange(number) // 2, frames] if number > 1 else clips[:, int(frames)]
        share = step / self.settings.steps
        order = torch.rand(codes, generator=generator).to(self.device)
        early = {name: torch.tensor(share < getattr(options, name)) for name in ("plain", "revive")}
        return {"pictures": pictures, "places": order, **early}

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        pictures = batch["pictures"] * 2 - 1
        drawn, features, quantised = self._through(pictures, bool(batch["plain"]))
        if bool(batch["revive"]):
            self._revive(features, quantised.codes, batch["places"])
        error = (drawn.float() - pictures) / 2
        parts = {
            "l1": error.abs().mean(),
            "gradient": gradient_error(error),
            "codes": quantised.loss.float(),
            "used": torch.bincount(quantised.codes.flatten(), minlength=len(batch["places"])).count_nonzero().float(),
        }
        options = self.options
        return parts["l1"] + options.gradient * parts["gradient"] + options.codes * parts["codes"], parts

    @torch.no_grad()
    def score(self, network: nn.Module) -> dict[str, float]:
        """PSNR in decibels of crops of unseen people, through their codes alone; how many codes serve them."""
        pictures = self._check()
        drawn, quantised = network(pictures * 2 - 1)
        return {
            "psnr": psnr((drawn / 2 + 0.5).clamp(0, 1), pictures),
            "codes_used": float(quantised.codes.unique().numel()),
        }

    @torch.no_grad()
    def samples(self, network: nn.Module) -> Tensor:
        """Crops of unseen people, and below them what their codes say of them."""
        pictures = self._check()[:4]
        return tiled([pictures, network(pictures * 2 - 1)[0] / 2 + 0.5])

    def weights(self, network: nn.Module) -> dict[str, dict[str, Tensor]]:
        return {"codebook.safetensors": {name: value.half() for name, value in network.state_dict().items()}}

    def _check(self) -> Tensor:
        return self._clips.check(8, 1, self.options.side)[:, 0]

    def _both(self, pictures: Tensor, plain: bool) -> tuple[Tensor, Tensor, Quantised]:
        book = self._book
        features = book.encode(pictures)
        if plain:  # the codes follow the features, and not the other way
            return book.decode(features), features, book.quantize(features.detach())
        quantised = book.quantize(features)
        return book.decode(quantised.rows), features, quantised

    @torch.no_grad()
    def _revive(self, features: Tensor, codes: Tensor, places: Tensor) -> None:
        """Puts a tenth of the codes that nobody used where a feature of this batch is."""
        table = self._book.quantize.embedding.weight
        used = torch.bincount(codes.flatten(), minlength=len(table)) > 0
        chosen = (~used) & (places < 0.1)
        points = rearrange(features, "n c h w -> (n h w) c")
        rows = (places[chosen] * 10 * len(points)).long().clamp_max(len(points) - 1)
        table[chosen] = points[rows].to(table.dtype)
        share(table)
