"""Stages `chain1` and `chain2` of another family than `mini`: `family` and `weights` in a configuration's options.

`weights` is a folder as rendering wants it: the autoencoder, what speech is heard through and what embeds prompts are
taken from it and stay as they are; the chain goes on from its file, if there is one, and from `start` where that is
given. Where a family predicts velocity, errors are weighted by signal-to-noise ratio (Hang et al., arXiv 2303.09556).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file
from torch import Generator, Tensor, nn

from models.autoencoder.vae import Vae
from models.data.take_pool import Pool
from models.diffusion.clip import Clip, clip_context
from models.diffusion.correction import Corrector
from models.diffusion.denoiser import ClipContext
from models.diffusion.motion_frames import add_motion_noise, draw_patches, patch_drop
from models.diffusion.sampler import scheduler
from models.families.config import SamplerConfig
from models.families.protocol import Family
from models.families.registry import FAMILIES
from models.image.sending import sent
from models.prompts.prompts import Prompts
from models.speech.spectrum import SAMPLES_A_FRAME
from models.speech.wav2vec import normalise
from models.training import denoising
from models.training.options import read_options
from models.training.settings import BadSettings, Settings
from models.training.stage import Batch
from models.weights.loading import load
from models.weights.recipes import RECIPES

MOST_SNR = 5.0


@dataclass(frozen=True)
class Options(denoising.Options):
    vae: str = ""
    """Found in `weights`."""
    family: str = "hallo2"
    weights: str = ""
    only_text: bool = False
    """Leaves the chain as it is and trains what prompts change."""
    trainable: Literal["published", "all"] = "published"
    """Of the chain: all of it in stage 1, in stage 2 the motion modules alone; or always all, as in the paper. The text
    branch is always trained: nothing of it was published."""
    betas: Literal["scaled_linear", "linear"] = "scaled_linear"
    """The noise schedule of training, as published; sampling's own is linear."""
    timesteps: Literal["uniform", "noisy"] = "uniform"
    """As published, or more often noisy than not, as `mini` has it."""
    noise_offset: float = 0.05
    """Standard deviation of what is added to the noise of a whole channel, as published."""
    unconditional: float = 0.1
    """Share of the batches without face, portrait, sound, region and prompt: the half that guidance leads away from.
    Published for stage 1."""
    audio_dropout: float = 0.05
    """Share of the rows that hear zeros, as published for stage 2."""
    start_dropout: float = 0.05
    """Share of the rows whose motion frames are zeros, as published for stage 2."""
    checkpointing: bool = True
    """Computes a site of the denoiser again on the way back, as published: time for memory."""


def weight_of_sample(ratio: Tensor) -> Tensor:
    """Weight of the squared error of x₀ at a signal-to-noise ratio: min(SNR + 1, 5), as published.

    The error of x₀ is that of the velocity over SNR + 1, so the velocity's weight is 1 where nothing but noise is
    given: there sampling starts, and pose and expression are decided. It falls from SNR 4 on. With SNR in the place of
    SNR + 1, as for networks that predict noise, it would be 0 there.
    """
    return (ratio + 1).clamp_max(MOST_SNR)


@dataclass(frozen=True)
class Velocity:
    """Stands where a corrector stands: the network's velocity -> x₀."""

    kept: Tensor

    @classmethod
    def of(cls, config: SamplerConfig, device: torch.device) -> Velocity:
        return cls(scheduler(config).alphas_cumprod.to(device))

    def scales(self, timestep: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`timestep` [r] -> α, σ and the signal-to-noise ratio, each [r 1 1 1 1]."""
        kept = self.kept[timestep.long()].float()[:, None, None, None, None]
        return kept.sqrt(), (1 - kept).sqrt(), kept / (1 - kept).clamp_min(1e-8)

    def __call__(self, given: Tensor, noisy: Tensor, beside: Tensor, timestep: Tensor) -> Tensor:
        alpha, sigma, _ = self.scales(timestep)
        return alpha * noisy.float() - sigma * given.float()


class TrainingStage(denoising.TrainingStage):
    options: Options

    def __init__(self, settings: Settings, device: torch.device) -> None:
        self.options = options = _options(settings)
        self.settings, self.device = settings, device
        self.whole_clips = settings.stage == "chain2"
        self.family = family = FAMILIES[options.family]
        assert family.networks is not None
        self.config = config = family.networks
        folder = Path(options.weights)
        self.network: nn.Module = denoising.Networks(config).to(device)
        for name in ("chain", "text"):
            self._begin(name, folder, Path(options.start) if options.start else None)
        self._choose_what_learns()
        vae, vae_file = _loaded(family, "vae", folder, device)
        assert isinstance(vae, Vae)
        self.vae = vae
        prompts = _prompts(family, folder, device)
        hear = None
        if config.speech is not None:
            speech, _ = _loaded(family, "speech", folder, device)
            hear = _hearing(speech, device)
        self.pool, self.checks = (
            Pool(Path(takes), vae, vae_file, config, device, hear, prompts) for takes in (options.takes, options.checks)
        )
        self.pairs = None
        if options.pairs:
            self.pairs = Pool(Path(options.pairs), vae, vae_file, config, device, hear, prompts)
        corrects = config.chain.unet.corrects
        schedule = replace(config.sampler, betas=options.betas)
        self.corrector: Any = Corrector.of(config.sampler, device) if corrects else Velocity.of(schedule, device)

    def _choose_what_learns(self) -> None:
        chain: Any = getattr(self.network, "chain")  # noqa: B009 (of a module, whose type is wider)
        chain.denoising_unet.checkpointed = self.options.checkpointing
        if self.options.only_text:
            chain.requires_grad_(False)
        elif self.whole_clips and self.options.trainable == "published":
            for name, parameter in chain.named_parameters():
                parameter.requires_grad_(".motion_modules." in name)

    def batch(self, step: int, generator: Generator) -> Batch:
        """What is left out of it is drawn last, so that all else is the same with and without."""
        batch, options = super().batch(step, generator), self.options
        rows = len(batch["motion"])
        nothing, deaf, first = (float(torch.rand((), generator=generator)), *torch.rand(2, rows, generator=generator))
        if "alike" in batch:  # what differs between prompts needs all else
            return batch
        if nothing < options.unconditional:
            batch["unconditional"] = torch.tensor(True)
        for name, drawn, share in (("audio", deaf, options.audio_dropout), ("motion", first, options.start_dropout)):
            kept = sent(drawn >= share, self.device).to(batch[name])
            batch[name] = batch[name] * kept.view(-1, *[1] * (batch[name].dim() - 1))
        return batch

    def _noise(self, shape: torch.Size, generator: Generator) -> Tensor:
        noise = super()._noise(shape, generator)
        offset = torch.randn(shape[0], 1, shape[2], 1, 1, generator=generator)
        return noise + self.options.noise_offset * offset

    def _times(self, rows: int, steps: int, generator: Generator) -> Tensor:
        if self.options.timesteps == "noisy":
            return super()._times(rows, steps, generator)
        return torch.randint(steps, (rows,), generator=generator)

    def _context(self, network: Any, clip: Clip, batch: Batch) -> ClipContext:
        if "unconditional" not in batch:
            return super()._context(network, clip, batch)
        # Exactly what guidance leads away from in a render.
        return clip_context(network.chain, clip, guided=True, text=network.text).silent(len(clip.reference))

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        if isinstance(self.corrector, Corrector):
            return super().loss(batch)
        found, weight = self._predicted(self.network, batch), batch["importance"][:, :, None]
        error = ((found - batch["latents"]).square() * weight).mean((1, 2, 3, 4)) / weight.mean((1, 2, 3, 4))
        _, _, ratio = self.corrector.scales(batch["timestep"])
        loss = (error * weight_of_sample(ratio.flatten())).mean()
        return denoising.with_prompts(loss, {"error": error.mean()}, found, batch)

    def _carried(self, motion: Tensor, reference: Tensor, generator: Generator, region: Tensor | None = None) -> Tensor:
        """As a render carries them on: families that carry pixels lose patches of those."""
        if self.config.carry == "latents":
            return super()._carried(motion, reference, generator, region)
        options, config = self.options, self.config
        rate = config.drop_rate if options.drop_rate is None else options.drop_rate
        sigma = config.motion_noise if options.motion_noise is None else options.motion_noise
        with torch.no_grad():
            frames = self.vae.decode(motion.flatten(0, 1).float()).unflatten(0, motion.shape[:2]) * 2 - 1
            kept = []
            for row, one in enumerate(frames):
                uniform = draw_patches((one.shape[-2], one.shape[-1]), options.drop_patch or config.patch, generator)
                protect = None if config.drop_on_face or region is None else region[row, :1].to(one)
                kept.append(patch_drop(one, sent(uniform, self.device).to(one), rate, protect))
            latents = self.vae.encode(torch.cat(kept)).unflatten(0, motion.shape[:2])
        noise = sent(torch.randn(latents.shape, generator=generator), self.device)
        return add_motion_noise(latents, noise.to(latents), sigma)

    def _begin(self, name: str, folder: Path, start: Path | None) -> None:
        network = getattr(self.network, name)
        if start is not None:
            RECIPES[name].holder(network).load_state_dict(load_file(start / f"{name}.safetensors"))
        elif _file(self.family, name, folder) is not None:
            given = _loaded(self.family, name, folder, self.device)[0].state_dict()
            # What nothing runs is left without memory when a network is loaded; here it stays as it began.
            network.load_state_dict(network.state_dict() | {k: v for k, v in given.items() if not v.is_meta})


def _file(family: Family, network: str, folder: Path, suffix: str = "") -> tuple[Any, Path] | None:
    for file in family.tree:
        for path in file.paths:
            if file.network == network and path.endswith(suffix) and (folder / path).exists():
                return file, folder / path
    return None


def _loaded(family: Family, network: str, folder: Path, device: torch.device) -> tuple[nn.Module, Path]:
    found = _file(family, network, folder)
    if found is None or family.networks is None:
        raise BadSettings(f"options: weights is {folder}, which holds no file of {network} of family {family.name}")
    return load(found[1], found[0], family.networks, device), found[1]


def _hearing(speech: nn.Module, device: torch.device) -> Any:
    def hear(wave: Tensor) -> Tensor:
        return speech(normalise(wave).to(device), len(wave) // SAMPLES_A_FRAME)

    return hear


def _prompts(family: Family, folder: Path, device: torch.device) -> Prompts:
    assert family.networks is not None
    text = family.networks.text
    if text is None:
        raise BadSettings(f"options: family is {family.name}, which takes no prompts")
    if text.clip is None:
        return Prompts(text.embedding_width)
    words = _file(family, "clip", folder, "vocab.json")
    if words is None:
        raise BadSettings(f"options: weights is {folder}, which holds no clip/vocab.json: prompts cannot be embedded")
    return Prompts(text.embedding_width, _loaded(family, "clip", folder, device)[0], words[1].parent)


def _options(settings: Settings) -> Options:
    missing = [name for name in ("takes", "checks", "weights") if not settings.options.get(name)]
    if missing:
        raise BadSettings(f"options lacks {missing}: folders of takes, and one with the family's files of weights")
    options = read_options(Options, settings)
    known = sorted(name for name, family in FAMILIES.items() if family.networks is not None)
    if options.family not in known:
        raise BadSettings(f"options: family is {options.family!r}: expected one of {known}")
    for name in ("takes", "checks", "weights", "start", "pairs"):
        place = getattr(options, name)
        if place and not Path(place).exists():
            raise BadSettings(f"options: {name} is {place}, which is not there")
    return replace(options, vae=options.weights)
