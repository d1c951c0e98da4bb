"""Stage `enlarger`: pictures to pictures twice as large, on crops of drawn portraits at several sizes.

What it sees is the true crop at half its size, a little blurred and noisy in some examples, as restored frames and its
own results are when it runs several times. Loss: L1 and gradients.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from models.data.clip_pool import ClipPool
from models.data.clips import Moves, draw_clips
from models.data.degradation import draw_spoiling, spoil
from models.data.portrait_crops import People, tiled
from models.families.mini import MINI
from models.image.resample import resize_lanczos
from models.restoration.background import enlarge
from models.training.measures import gradient_error, psnr
from models.training.options import read_options
from models.training.settings import Settings
from models.training.stage import Batch
from models.weights.recipes import RECIPES


@dataclass(frozen=True)
class Options:
    side: int = 128
    """Of the large crops, pixels."""
    pictures: tuple[int, ...] = (1024, 1024, 2048, 4096)
    """Sizes of the whole pictures that they are crops of; each as often as it stands here."""
    identities: int = 4096
    pool: int = 0
    """Crops that are drawn beforehand and kept in files; 0 draws every batch anew."""
    pool_folder: str = "out/training/pools"
    gradient: float = 1.0
    compile: bool = False
    compile_renderer: bool = False
    network: dict[str, Any] | None = None
    """What differs from family mini's enlarger."""


class TrainingStage:
    def __init__(self, settings: Settings, device: torch.device) -> None:
        self.options = options = read_options(Options, settings)
        self.settings, self.device = settings, device
        config = replace(MINI.enlarger, **(options.network or {}))
        self.network: nn.Module = RECIPES["enlarger"].make(replace(MINI, enlarger=config)).to(device)
        if device.type == "cpu":
            self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._through = torch.compile(self.network) if options.compile else self.network
        self._moves = Moves.of(0, 32)
        self._people = People.of("train", options.identities, device, compiled=options.compile_renderer)
        self._unseen = People.of("validation", 12, device)
        facts = {"what": "crops", "revision": 1, "side": options.side, "pictures": list(options.pictures)}
        facts |= {"identities": options.identities}
        folder = Path(options.pool_folder)
        self._pool = ClipPool(folder, options.pool, facts, self._draw) if options.pool else None

    def batch(self, step: int, generator: Generator) -> Batch:
        number = self.settings.batch
        if self._pool is not None:
            wanted = self._pool.some(number, generator).to(self.device).float() / 255
        else:
            wanted = self._draw(number, generator)
        given = F.avg_pool2d(wanted, 2)
        nothing = torch.zeros(number)
        how = draw_spoiling(number, generator)
        light = replace(
            how, blur=how.blur * 0.45, noise=how.noise * 0.15, speckle=how.speckle * 0.15, shrink=nothing + 1,
            flicker=nothing, blocks=nothing, through=nothing,
        )  # fmt: skip
        return {"given": spoil(given[:, None], light, generator)[:, 0], "wanted": wanted}

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        error = self._through(batch["given"]).float() - batch["wanted"]
        parts = {"l1": error.abs().mean(), "gradient": gradient_error(error)}
        return parts["l1"] + self.options.gradient * parts["gradient"], parts

    @torch.no_grad()
    def score(self, network: nn.Module) -> dict[str, float]:
        """PSNR in decibels of unseen people, and what Lanczos reaches: once from 512, and twice from 1024."""
        scores = {}
        for size, passes in ((1024, 1), (4096, 2)):
            given, wanted = self._check(size, passes)
            scores[f"psnr_{size}"] = psnr(self._enlarged(network, given), wanted)
            scores[f"lanczos_{size}"] = psnr(
                resize_lanczos(given, (wanted.shape[-2], wanted.shape[-1])).clamp(0, 1), wanted
            )
        return scores

    @torch.no_grad()
    def samples(self, network: nn.Module) -> Tensor:
        """Unseen faces enlarged twice: Lanczos above, the network, the truth below."""
        given, wanted = self._check(2048, 2)
        plain = resize_lanczos(given, (wanted.shape[-2], wanted.shape[-1])).clamp(0, 1)
        return tiled([rows[:4] for rows in (plain, self._enlarged(network, given), wanted)])

    def weights(self, network: nn.Module) -> dict[str, dict[str, Tensor]]:
        return {"enlarger.safetensors": {name: value.half() for name, value in network.state_dict().items()}}

    def _draw(self, number: int, generator: Generator) -> Tensor:
        sizes = torch.tensor(self.options.pictures)
        chosen = sizes[torch.randint(len(sizes), (number,), generator=generator)]
        return draw_clips(self._people, self._moves, number, 1, self.options.side, chosen, generator)[:, 0]

    def _enlarged(self, network: nn.Module, given: Tensor) -> Tensor:
        side = 2 * self.options.side
        return torch.cat([enlarge(x, (side, side), network, "x2", 0) for x in given.split(1)])

    def _check(self, size: int, passes: int) -> tuple[Tensor, Tensor]:
        """Always the same crops of unseen people, 12 of them, as small as `passes` doublings need them, and true."""
        generator = torch.Generator().manual_seed(1)
        side = 2 * self.options.side
        sizes = torch.full((12,), size)
        wanted = draw_clips(self._unseen, self._moves, 12, 1, side, sizes, generator)[:, 0]
        return F.avg_pool2d(wanted, 2**passes), wanted
