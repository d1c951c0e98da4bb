"""Stage `restorer`: code prediction with temporal alignment, on spoiled clips of portraits.

Codebook and generator stay as stage `codebook` left them; encoder, transformer and skip learn. Every clip is spoiled
in one way (`degradation`), and what is wanted is the clean clip. Loss: cross entropy of the codes that the clean clip
has, features near their rows (CodeFormer's), L1 and gradients of the picture at a random fidelity, and the change of
the error from frame to frame, which is flicker.

In a share of the steps every frame is restored by itself, so that the same weights also serve as what temporal
alignment is measured against; `temporal: false` trains a network that never sees another frame.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from safetensors.torch import load_file
from torch import Generator, Tensor, nn

from models.autoencoder.vae import Vae
from models.data.degradation import draw_spoiling, spoil
from models.data.portrait_crops import tiled
from models.families.mini import MINI
from models.families.upscale_config import RestorerConfig
from models.restoration.codebook import CodebookAutoencoder
from models.restoration.restorer import TemporalRestorer
from models.training.codebook import Clips
from models.training.measures import flicker, gradient_error, gradient_similarity, psnr
from models.training.options import plain, read_options
from models.training.settings import BadSettings, Settings
from models.training.stage import Batch
from models.weights.recipes import RECIPES

FIDELITY = 0.7  # what renders ask for unless they say otherwise


@dataclass(frozen=True)
class Options:
    side: int = 256
    """Of the crops, pixels."""
    frames: int = 16
    """Of a clip."""
    identities: int = 4096
    pool: int = 0
    """Clips that are drawn beforehand and kept in files; 0 draws every batch anew."""
    pool_folder: str = "out/training/pools"
    codebook: str | None = None
    """File of stage `codebook`; without it codebook and generator stay as they are made, which is for trying out."""
    autoencoder: str | None = None
    """File of stage `autoencoder`: most clips then go through it, as rendered frames have."""
    start: str | None = None
    """File of this stage to begin with."""
    design: str | None = None
    """`pixels` or `latents`: the two designs of the paper's Figure 4 on equal terms, for comparing them. Both are given
    the autoencoder's latents of spoiled clips, decoded or as they are; neither has the skip, which needs pixels."""
    temporal: bool = True
    alone: float = 0.15
    """Share of the steps in which frames are restored one by one."""
    entropy: float = 0.05
    features: float = 0.05
    gradient: float = 1.0
    steady: float = 2.0
    compile: bool = False
    compile_renderer: bool = False
    network: dict[str, Any] | None = None
    """What differs from family mini's codebook."""


class TrainingStage:
    def __init__(self, settings: Settings, device: torch.device) -> None:
        self.options = options = read_options(Options, settings)
        self.settings, self.device = settings, device
        book = replace(MINI.restorer.codebook, **{name: plain(v) for name, v in (options.network or {}).items()})
        self.config = _designed(replace(MINI.restorer, codebook=book), options)
        network = TemporalRestorer(self.config)
        self._teacher = CodebookAutoencoder(book)
        if options.codebook is not None:
            self._teacher.load_state_dict(_read(options.codebook))
        own = {name: value.shape for name, value in network.state_dict().items()}
        taught = {name: value for name, value in self._teacher.state_dict().items() if own.get(name) == value.shape}
        network.load_state_dict(taught, strict=False)  # an encoder of latents has other layers
        if options.start is not None:
            network.load_state_dict(_read(options.start))
        self.network: nn.Module = network.to(device)
        for part in (network.quantize, network.generator, self._teacher):
            part.requires_grad_(False)
        self._teacher.to(device).eval()
        self._vae = None if options.autoencoder is None else _autoencoder(options.autoencoder).to(device)
        self._through = torch.compile(self._restore) if options.compile else self._restore
        self._clips = Clips(
            options.identities, options.frames, options.side, options.pool, options.pool_folder,
            options.compile_renderer, device,
        )  # fmt: skip

    def batch(self, step: int, generator: Generator) -> Batch:
        number = self.settings.batch
        clean = self._clips.some(number, generator)
        given = self._given(clean, generator)
        draws = torch.rand(3, generator=generator)
        alone = not self.options.temporal or float(draws[0]) < self.options.alone
        fidelity = FIDELITY if float(draws[1]) < 0.5 else max(0.05, float(draws[2]))
        return {"clean": clean, "given": given, "alone": torch.tensor(alone), "fidelity": torch.tensor(fidelity)}

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        options, clean = self.options, batch["clean"] * 2 - 1
        with torch.no_grad():
            features = self._teacher.encode(clean.flatten(0, 1))
            codes = self._teacher.quantize.nearest(features)
            wanted_rows = self._teacher.quantize.rows(codes, features.shape[-2])
        window = self._window(batch["given"])
        given = rearrange(window, "b f c h w -> (b f) 1 c h w") if bool(batch["alone"]) else window
        frames, logits, found = self._through(given, float(batch["fidelity"]))
        error = ((frames.view_as(clean).float() - clean) / 2).flatten(0, 1)
        change = error.view_as(clean).diff(dim=1)
        parts = {
            "l1": error.abs().mean(),
            "gradient": gradient_error(error),
            "entropy": F.cross_entropy(logits.flatten(0, -2).float(), codes.flatten()),
            "features": F.mse_loss(found.flatten(0, 1).float(), wanted_rows.float()),
            "steady": change.abs().mean() if change.numel() else error.new_zeros(()),
        }
        shares = {"l1": 1.0, "gradient": options.gradient, "entropy": options.entropy}
        shares |= {"features": options.features, "steady": options.steady}
        return sum((share * parts[name] for name, share in shares.items()), torch.zeros_like(parts["l1"])), parts

    @torch.no_grad()
    def score(self, network: nn.Module) -> dict[str, float]:
        """Of unseen spoiled clips: PSNR, gradient similarity and flicker of the input, of every frame by itself, of all
        together; and of all together from the codes alone."""
        clean, given = self._check()
        results = {
            "input": self._shown(given),
            "alone": self._restored(network, rearrange(given, "b f c h w -> (b f) 1 c h w")).view_as(clean),
            "all": self._restored(network, given),
        }
        scores = {}
        for name, clips in results.items():
            scores[f"psnr_{name}"] = psnr(clips.flatten(0, 1), clean.flatten(0, 1))
            scores[f"edges_{name}"] = gradient_similarity(clips.flatten(0, 1), clean.flatten(0, 1))
            scores[f"flicker_{name}"] = sum(flicker(a, b) for a, b in zip(clips, clean, strict=True)) / len(clips)
        scores["psnr_codes"] = psnr(self._restored(network, given, 0.0).flatten(0, 1), clean.flatten(0, 1))
        return scores

    @torch.no_grad()
    def samples(self, network: nn.Module) -> Tensor:
        """A frame of unseen clips: spoiled, from codes alone, restored by itself, restored with the others, clean."""
        clean, given = self._check()
        middle = given.shape[1] // 2
        alone = self._restored(network, given[:, middle : middle + 1])
        rows = [self._shown(given)[:, middle], self._restored(network, given, 0.0)[:, middle], alone[:, 0]]
        return tiled([row[:6] for row in [*rows, self._restored(network, given)[:, middle], clean[:, middle]]])

    def weights(self, network: nn.Module) -> dict[str, dict[str, Tensor]]:
        return {"restorer.safetensors": {name: value.half() for name, value in network.state_dict().items()}}

    def _restore(self, window: Tensor, fidelity: float) -> tuple[Tensor, Tensor, Tensor]:
        restored = self.network(window, fidelity, adain=False)
        return restored.frames, restored.logits, restored.features

    def _restored(self, network: nn.Module, clips: Tensor, fidelity: float = FIDELITY) -> Tensor:
        parts = [network(self._window(clip[None]), fidelity, adain=False).frames for clip in clips]
        return (torch.cat(parts) / 2 + 0.5).clamp(0, 1)

    def _check(self) -> tuple[Tensor, Tensor]:
        """Always the same clips of unseen people, clean and spoiled."""
        clean = self._clips.check(6, self.options.frames, self.options.side)
        return clean, self._given(clean, torch.Generator().manual_seed(3))

    @torch.no_grad()
    def _given(self, clean: Tensor, generator: Generator) -> Tensor:
        """Spoiled clips in 0..1, or the latents of such."""
        given = spoil(clean, draw_spoiling(len(clean), generator), generator, self._vae)
        if self._vae is None or self.options.design is None:
            return given
        latents = self._vae.encode(given.flatten(0, 1) * 2 - 1)
        given = latents if self.config.input == "latents" else self._vae.decode(latents)
        return given.unflatten(0, clean.shape[:2])

    def _window(self, given: Tensor) -> Tensor:
        """What the network reads."""
        return given if self.config.input == "latents" else given * 2 - 1

    @torch.no_grad()
    def _shown(self, given: Tensor) -> Tensor:
        if self.config.input == "pixels" or self._vae is None:
            return given
        return self._vae.decode(given.flatten(0, 1)).unflatten(0, given.shape[:2])


def _designed(config: RestorerConfig, options: Options) -> RestorerConfig:
    if options.design is None:
        return config
    if options.design not in ("pixels", "latents"):
        raise BadSettings(f"options: design is {options.design!r}: expected 'pixels' or 'latents', or leave it out")
    if options.autoencoder is None:
        raise BadSettings("options: design compares what is made of latents: name the autoencoder's file")
    side = config.codebook.side // MINI.vae.factor
    latents = replace(config, skip=None, latent_channels=MINI.vae.latent_channels, latent_side=side)
    return replace(latents, input="latents") if options.design == "latents" else latents


def _autoencoder(path: str) -> Vae:
    network = Vae(MINI.vae)
    RECIPES["vae"].holder(network).load_state_dict(_read(path))
    return network.eval().requires_grad_(False)


def _read(path: str) -> dict[str, Tensor]:
    if not Path(path).exists():
        raise BadSettings(f"options: {path} does not exist: train the stage that makes it, or leave it out")
    return {name: value.float() for name, value in load_file(path).items()}
