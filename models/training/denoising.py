"""Stages `chain1` and `chain2`: ReferenceNet and denoiser, on takes of talking people.

As in the paper (section 4.5) the first stage learns from single frames: portrait, place and sound. The second goes on
from its weights with whole clips: motion modules over the frames before, which lose patches (eq. 5, 6) and get noise
(eq. 7), and prompts. Both train everything they use; the noise schedule and the form of the prediction are the
family's.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Generator, Tensor, nn

from models.autoencoder.vae import Vae
from models.data.portrait_crops import tiled
from models.data.take_pool import Examples, Pool
from models.diffusion.clip import ChainNetworks, Clip, clip_context, run_clip
from models.diffusion.correction import LEFT, Corrector, moved_portrait
from models.diffusion.denoiser import ClipContext
from models.diffusion.motion_frames import add_motion_noise, draw_patches, patch_drop
from models.diffusion.text_modulation import TextBranch
from models.families.config import Sampling
from models.families.mini import MINI
from models.families.network_config import NetworkConfig
from models.image.sending import sent
from models.training import word_fit
from models.training.options import read_options
from models.training.settings import BadSettings, Settings
from models.training.shift_fit import fitted_once
from models.training.stage import Batch
from models.weights.recipes import RECIPES

MOVED = 0.5  # weight of the moved portrait's own error
TAKEN_BACK = 8  # frames in which what the motion frames had wrong is taken back
PAIRED_FRAMES = 2  # of a moment under every prompt
PAIRED = 0.8  # weight of what is missed between prompts
OTHER_PROMPT = 0.3  # share of the clips that follow the network's own, whose prompt was another before
MOST_MISSED = 2.0  # clips whose errors the motion frames may hold


@dataclass(frozen=True)
class Options:
    takes: str
    """Folder of takes to learn from, and of takes of other people to check with."""
    checks: str
    vae: str
    """File of the autoencoder's weights."""
    start: str | None = None
    """Folder of weights to begin with."""
    words_anew: bool = False
    """Whether its text branch begins anew (`word_fit`), as it does where there is no start."""
    frames: int = 16
    """Of a clip; in stage 1, frames of a person in a batch."""
    drop_rate: float | None = None
    """Of the motion frames' patches (eq. 5, 6); the family's, if not given."""
    drop_patch: int | None = None
    motion_noise: float | None = None
    """Standard deviation of the noise on them (eq. 7); the family's, if not given."""
    title_starts: float = 0.1
    """Share of clips with the portrait in the place of motion frames."""
    prompt_dropout: float = 0.1
    own: float = 0.0
    """Share of the batches whose motion frames the network itself has drawn: in a render they are never true."""
    first_steps: float = 0.0
    """Share of the rows at the first step of sampling, where nothing but noise is given."""
    pairs: str | None = None
    """Folder of moments under every prompt (`drawn_takes --every-prompt`)."""
    paired: float = 0.0
    """Share of the batches that are moments of `pairs`: what differs between prompts then counts by itself."""
    paired_people: int = 2
    """In such a batch, whose clips have two frames."""
    check_steps: int = 4


class Networks(nn.Module):
    """What is trained together."""

    def __init__(self, config: NetworkConfig = MINI) -> None:
        super().__init__()
        self.chain = ChainNetworks(config.chain)
        assert config.text is not None
        self.text = TextBranch(config.text, config.chain.unet)
        _start_small(self.chain)


class TrainingStage:
    config: NetworkConfig = MINI

    def __init__(self, settings: Settings, device: torch.device) -> None:
        self.options = _options(settings)
        self.settings, self.device = settings, device
        self.whole_clips = settings.stage == "chain2"
        self.network: nn.Module = Networks().to(device)
        if self.options.start:
            for name in ("chain", "text"):
                getattr(self.network, name).load_state_dict(load_file(Path(self.options.start) / f"{name}.safetensors"))
        self.vae = trained_autoencoder(Path(self.options.vae)).to(device)
        self.pool = Pool(Path(self.options.takes), self.vae, Path(self.options.vae), self.config, device)
        self.checks = Pool(Path(self.options.checks), self.vae, Path(self.options.vae), self.config, device)
        if self.options.words_anew or not self.options.start:
            word_fit.begin(getattr(self.network, "text"), settings.seed)  # noqa: B009 (as below)
        self.pairs: Pool | None = None
        if self.options.pairs:
            self.pairs = Pool(Path(self.options.pairs), self.vae, Path(self.options.vae), self.config, device)
        self.corrector = Corrector.of(self.config.sampler, device)
        if not self.options.start:
            portraits = torch.stack([talk.portraits[0] for talk in self.pool.talks])
            kernels = fitted_once(self.pool.kept / "shift.pt", self.vae, portraits.to(device))
            getattr(self.network, "chain").denoising_unet.shift.kernels.copy_(kernels)  # noqa: B009 (as below)

    def batch(self, step: int, generator: Generator) -> Batch:
        number, frames = self.settings.batch, self.options.frames
        if self.pairs is not None and float(torch.rand((), generator=generator)) < self.options.paired:
            return self._under_every_prompt(self.pairs, generator)
        if self.whole_clips and float(torch.rand((), generator=generator)) < self.options.own:
            return self._after_own(self.pool.draw(number, 2 * frames, generator), generator)
        if self.whole_clips:
            chosen = self.pool.draw(number, frames, generator)
        else:
            chosen = self.pool.scattered(max(1, number // frames), frames, generator)
        return self._batch(self.pool.examples(chosen, generator, start=self.options.title_starts), generator)

    def _under_every_prompt(self, pool: Pool, generator: Generator) -> Batch:
        """Moments under every prompt, all from the portrait: that alone the prompt decides."""
        groups = pool.groups()
        chosen: list[tuple[int, list[int]]] = []
        for _ in range(self.options.paired_people):
            group = groups[int(torch.randint(len(groups), (), generator=generator))]
            room = len(pool.talks[group[0]].latents) - PAIRED_FRAMES
            first = int(torch.randint(room + 1, (), generator=generator))
            chosen += [(talk, list(range(first, first + PAIRED_FRAMES))) for talk in group]
        alike = len(chosen) // self.options.paired_people
        examples = pool.examples(chosen, generator, start=1.0, alike=alike)
        # At the first step, where noise hides everything.
        return self._batch(examples, generator, timestep=len(self.corrector.kept) - 1, alike=alike)

    @torch.no_grad()
    def _after_own(self, chosen: list[tuple[int, list[int]]], generator: Generator) -> Batch:
        """Second halves of the places chosen, behind first halves that the network drew in one step."""
        frames, lead = self.options.frames, self.config.chain.motion_frames
        before = [(talk, places[:frames]) for talk, places in chosen]
        given = self.pool.examples(before, generator, start=self.options.title_starts)
        drawn = self._batch(given, generator, timestep=len(self.corrector.kept) - 1)
        other = torch.rand(len(chosen), generator=generator).to(self.device) < OTHER_PROMPT
        drawn["prompt"] = torch.where(other[:, None], drawn["prompt"].roll(1, 0), drawn["prompt"])
        drawn["prompted"] = torch.where(other, drawn["prompted"].roll(1, 0), drawn["prompted"])
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.precision == "bfloat16"):
            made = self._predicted(self.network, drawn)
        after = self.pool.examples([(talk, places[frames:]) for talk, places in chosen], generator)
        # What one clip gets wrong grows over a chain of them: so much more of it is shown here, to be taken back too.
        missed = made[:, -lead:].to(after.motion) - after.motion
        more = 1 + (MOST_MISSED - 1) * torch.rand(len(missed), generator=generator).to(missed)
        own = after.motion + more[:, None, None, None, None] * missed
        wanted = _joined(after.latents, own[:, -1], after.motion[:, -1])
        return self._batch(replace(after, motion=own, latents=wanted), generator)

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        given, known = self._given(self.network, batch)
        found = self.corrector(given, batch["noisy"], known, batch["timestep"])
        wanted, weight = batch["latents"], batch["importance"][:, :, None]
        # How far things moved is learnt best from what moving the portrait explains; lips and lids it does not.
        moved = moved_portrait(given, wanted.shape[2])
        apart = ((moved - wanted).square().mean(2) + 1e-3).sqrt().mean()
        error = ((found - wanted).square() * weight).mean((1, 2, 3, 4)) / weight.mean((1, 2, 3, 4))
        _, _, scale = self.corrector.scales(batch["timestep"])
        share = 1 / (scale.flatten() ** 2 / LEFT + 0.3)
        still = batch["last"][:, None]
        copied = ((still - wanted).square() * weight).mean() / weight.mean()
        found_by = {"error": error.mean(), "copied": copied, "moved": apart}
        total = (error * share).mean() + MOVED * apart
        return with_prompts(total, found_by, found, batch)

    @torch.no_grad()
    def score(self, network: nn.Module) -> dict[str, float]:
        """On people and voices that training never meets: the error of one step; then of sampled clips, how much of
        what moves is explained, at the lips and everywhere (1 all, 0 as by a still picture)."""
        errors = []
        for number in range(4):
            generator = torch.Generator().manual_seed(number)
            chosen = self.checks.draw(4, self.options.frames if self.whole_clips else 4, generator)
            batch = self._batch(self.checks.examples(chosen, generator), generator)
            errors.append(float((self._predicted(network, batch) - batch["latents"]).square().mean()))
        lips: list[Tensor] = []
        whole: list[Tensor] = []
        for number in range(min(6, len(self.checks.talks))):
            made, true, weight = self._sampled(network, number)
            moving = true - true.mean(0)
            at_lips = (weight > 3.5)[:, None]
            missed = (made - true).square()
            lips.append(1 - (missed * at_lips).sum() / (moving.square() * at_lips).sum())
            whole.append(1 - missed.sum() / moving.square().sum())
        return {
            "error": sum(errors) / len(errors),
            "lips_explained": float(torch.stack(lips).mean()),
            "motion_explained": float(torch.stack(whole).mean()),
        }

    @torch.no_grad()
    def samples(self, network: nn.Module) -> Tensor:
        """Per person: the portrait and true frames; below, what is sampled."""
        rows = []
        for number in range(min(3, len(self.checks.talks))):
            made, true, _ = self._sampled(network, number)
            places = torch.arange(0, len(true), max(1, len(true) // 6))[:6]
            reference = self.checks.talks[number].portraits[:1].float().to(self.device)
            for latents in (true, made):
                shown = torch.cat([reference, latents[places.to(latents.device)]])
                rows.append(self.vae.decode(shown))
        return tiled(rows)

    def weights(self, network: nn.Module) -> dict[str, dict[str, Tensor]]:
        return {
            f"{name}.safetensors": RECIPES[name].holder(getattr(network, name)).state_dict()
            for name in ("chain", "text")
        }

    def _batch(self, examples: Examples, generator: Generator, timestep: int | None = None, alike: int = 1) -> Batch:
        rows, device = len(examples.latents), self.device
        motion = (
            self._carried(examples.motion, examples.reference, generator, examples.region)
            if self.whole_clips
            else examples.motion[:, :0]
        )
        noise = sent(self._noise(examples.latents.shape, generator), device)
        steps = len(self.corrector.kept)
        times = self._times(rows, steps, generator)
        times[torch.rand(rows, generator=generator) < self.options.first_steps] = steps - 1
        if timestep is not None:
            times[:] = timestep
        first = torch.arange(rows) // alike * alike
        times, noise = times[first], noise[sent(first, device)]
        times = sent(times, device)
        alpha, _, _ = self.corrector.scales(times)
        heard = sent(torch.rand(rows, generator=generator), device) >= self.options.prompt_dropout * (alike == 1)
        batch = {
            "latents": examples.latents,
            "noisy": alpha * examples.latents + (1 - alpha.square()).sqrt() * noise,
            "timestep": times,
            "motion": motion,
            "reference": examples.reference,
            "last": examples.motion[:, -1] if self.whole_clips else examples.reference,
            "audio": examples.audio,
            "region": examples.region,
            "face_embedding": examples.face_embedding,
            "prompt": examples.prompt,
            "prompted": examples.prompted & heard,
            "importance": examples.importance,
        }
        for kind, levels in zip(("background", "face", "lips"), examples.masks, strict=True):
            batch |= {f"{kind}_{level}": mask for level, mask in enumerate(levels)}
        if alike > 1:
            batch["alike"] = torch.tensor(alike)
        return batch

    def _carried(self, motion: Tensor, reference: Tensor, generator: Generator, region: Tensor | None = None) -> Tensor:
        """Motion frames [n m c h w] as the sampler hands them on: patches dropped, noise added."""
        options = self.options
        rate = self.config.drop_rate if options.drop_rate is None else options.drop_rate
        patch = options.drop_patch or self.config.patch
        sigma = self.config.motion_noise if options.motion_noise is None else options.motion_noise
        size = (motion.shape[-2], motion.shape[-1])
        uniform = torch.stack([draw_patches(size, patch, generator) for _ in motion])[:, None, None]
        rows = zip(motion, sent(uniform, motion.device).to(motion), reference, strict=True)
        dropped = torch.cat([patch_drop(one, keep, rate, None, instead) for one, keep, instead in rows])
        noise = sent(torch.randn(motion.shape, generator=generator), motion.device).to(motion)
        return add_motion_noise(dropped.view_as(motion), noise, sigma)

    def _predicted(self, network: Any, batch: Batch) -> Tensor:
        given, known = self._given(network, batch)
        return self.corrector(given, batch["noisy"], known, batch["timestep"])

    def _given(self, network: Any, batch: Batch) -> tuple[Tensor, Any]:
        """What the denoiser says of a batch, and what was beside it."""
        levels = range(len(self.config.chain.unet.channels))
        clip = Clip(
            reference=batch["reference"],
            motion=batch["motion"],
            face_embedding=batch["face_embedding"],
            audio=batch["audio"],
            region=batch["region"],
            masks=tuple(tuple(batch[f"{kind}_{level}"] for level in levels) for kind in ("background", "face", "lips")),
            prompt=batch["prompt"],
            prompted=batch["prompted"],
            last=batch["last"],
        )
        context = self._context(network, clip, batch)
        return network.chain.denoising_unet(batch["noisy"], batch["timestep"], context), context.beside

    def _noise(self, shape: torch.Size, generator: Generator) -> Tensor:
        return torch.randn(shape, generator=generator)

    def _times(self, rows: int, steps: int, generator: Generator) -> Tensor:
        """More often noisy than not: with few steps of sampling it is there that everything is decided."""
        return (torch.rand(rows, generator=generator).sqrt() * steps).long().clamp_max(steps - 1)

    def _context(self, network: Any, clip: Clip, batch: Batch) -> ClipContext:
        return clip_context(network.chain, clip, guided=False, text=network.text)

    def _sampled(self, network: Any, number: int) -> tuple[Tensor, Tensor, Tensor]:
        """One person's first clips, each sampled from the end of the one before: made and true [f c h w], weights.

        In stage 1, single frames from the portrait alone.
        """
        generator = torch.Generator().manual_seed(number)
        talk, made, true, weights = self.checks.talks[number], [], [], []
        sampling = Sampling(self.options.check_steps, 1.0, schedule=self.config.sampler)
        carried: Tensor | None = None
        frames = 16 if self.whole_clips else 8
        for start in range(0, min(48, len(talk.latents) - frames + 1), frames):
            chosen = [(number, list(range(start, start + frames)))]
            examples = self.checks.examples(chosen, generator, start=1.0)
            own = examples.motion if carried is None else carried
            motion = self._carried(own, examples.reference, generator) if self.whole_clips else own[:, :0]
            clip = Clip(
                examples.reference, motion, examples.face_embedding, examples.audio, examples.region, examples.masks,
                examples.prompt, examples.prompted, own[:, -1] if self.whole_clips else None,
            )  # fmt: skip
            noise = torch.randn(examples.latents.shape, generator=generator).to(self.device)
            latents = run_clip(network.chain, clip, noise, sampling, network.text)
            carried = latents[:, -self.config.chain.motion_frames :]
            made.append(latents[0])
            true.append(examples.latents[0])
            weights.append(examples.importance[0])
        return torch.cat(made), torch.cat(true), torch.cat(weights)


def with_prompts(
    loss: Tensor, parts: dict[str, Tensor], found: Tensor, batch: Batch
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss and its parts, and what is missed between prompts where the batch holds moments under every prompt."""
    if "alike" not in batch:
        return loss, parts
    missed = _between_prompts(found, batch["latents"], batch["importance"][:, :, None], int(batch["alike"]))
    return loss + PAIRED * missed, parts | {"prompts_missed": missed}


def _between_prompts(found: Tensor, wanted: Tensor, weight: Tensor, alike: int) -> Tensor:
    """Of clips [n f c h w], each `alike` of which differ in their prompt alone: how much is missed of what sets each
    prompt apart from their mean, 0 nothing, 1 all of it; the mean over prompts, so that a brow counts as a turn does.

    What a network gets wrong under all prompts alike, head or mouth, is not in it, and would else hide what a prompt
    has to change.
    """
    shown, true = (clips.unflatten(0, (-1, alike)) for clips in (found, wanted))
    counts = weight.unflatten(0, (-1, alike)).amax(1, keepdim=True)
    apart = true - true.mean(1, keepdim=True)
    missed = shown - shown.mean(1, keepdim=True) - apart
    each = (0, 2, 3, 4, 5)
    return ((missed.square() * counts).mean(each) / (apart.square() * counts).mean(each).clamp_min(1e-6)).mean()


def _joined(true: Tensor, drawn: Tensor, instead_of: Tensor) -> Tensor:
    """What shall follow the frame `drawn` [n c h w], drawn `instead_of` the true one: `true` [n f c h w], led there.

    The difference is taken back frame by frame. Taken back at once, it would be a jump at the border of clips; left
    as it is, it would add up over them.
    """
    left = (1 - torch.arange(1, true.shape[1] + 1, device=true.device) / TAKEN_BACK).clamp_min(0)
    return true + left[:, None, None, None] * (drawn - instead_of)[:, None]


def _start_small(chain: ChainNetworks) -> None:
    """What is added to the picture begins at nothing: every module's last layer, and the correction itself."""
    for site in chain.denoising_unet.sites():
        for module in (site.level.audio_modules[site.index], site.level.motion_modules[site.index]):
            last: Any = getattr(module, "temporal_transformer", module)
            nn.init.zeros_(last.proj_out.weight)
            nn.init.zeros_(last.proj_out.bias)
    out = chain.denoising_unet.conv_out
    assert out.bias is not None
    nn.init.zeros_(out.weight)
    nn.init.zeros_(out.bias)


def trained_autoencoder(file: Path) -> Vae:
    """That of `mini`, for pictures as large as it makes them (takes of 256 pixels)."""
    vae = Vae(replace(MINI.vae, shrink=1))
    RECIPES["vae"].holder(vae).load_state_dict(load_file(file))
    return vae.eval().requires_grad_(False)


def _options(settings: Settings) -> Options:
    missing = [name for name in ("takes", "checks", "vae") if name not in settings.options]
    if missing:
        raise BadSettings(f"options lacks {missing}: a folder each, and the autoencoder's file")
    options = read_options(Options, settings)
    for name in ("vae", "start", "takes", "checks", "pairs"):
        place = asdict(options)[name]
        if place and not Path(place).exists():
            raise BadSettings(f"options: {name} is {place}, which is not there: docs/training.md says what makes it")
    return options
