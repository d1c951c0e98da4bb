"""One clip: portrait, motion frames, audio and noise in, latents out.

The networks compute in the type that they are held in; what goes in is cast to it, and noise, latents and guidance are
left in their own, float32.

Several titles share a call as lanes. A lane's rows never meet another's: every layer works within a row, and the two
halves of guidance are rows of their own.

Shapes: lanes, m motion frames, f clip frames, c latent channels, h w latent sides, H W region mask sides,
l pixels of a level, t tokens, e embedding.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count

import torch
from torch import Tensor, nn

from models.diffusion.audio_attention import AudioProjection
from models.diffusion.conditioning import FaceLocator, ImageProjection
from models.diffusion.correction import Corrector, beside
from models.diffusion.denoiser import ClipContext, DenoisingUNet
from models.diffusion.reference import ReferenceNet, reference_banks
from models.diffusion.sampler import guided, solve
from models.diffusion.text_modulation import Modulation, TextBranch
from models.diffusion.two_devices import Denoise, Elsewhere, moved
from models.diffusion.unet import DeepFeatures
from models.families.config import ChainConfig, Sampling


class ChainNetworks(nn.Module):
    """The trained networks of a chain. The state dict is the published checkpoint's, name by name and in its order."""

    def __init__(self, config: ChainConfig) -> None:
        super().__init__()
        self.config = config
        self.reference_unet = ReferenceNet(config.unet)
        self.denoising_unet = DenoisingUNet(config.unet)
        self.face_locator = FaceLocator(config.face_locator, config.unet.channels[0])
        self.imageproj = ImageProjection(config.image_projection, config.unet.image_token_width)
        self.audioproj = AudioProjection(config.audio_projection, config.unet.audio_token_width)

    @property
    def dtype(self) -> torch.dtype:
        """In what the networks are held and compute."""
        return self.denoising_unet.conv_in.weight.dtype


@dataclass(frozen=True)
class Clip:
    """What one clip of every lane is made from."""

    reference: Tensor
    """Latents of the portrait [lanes c h w]."""
    motion: Tensor
    """Latents of the frames carried over [lanes m c h w], oldest first."""
    face_embedding: Tensor
    """[lanes e]; zeros where none is known."""
    audio: Tensor
    """Audio features around each frame [lanes f window layers width]."""
    region: Tensor
    """Where the face is [lanes 3 H W], in 0 … 1."""
    masks: tuple[tuple[Tensor, ...], ...]
    """For background, face and lips: a mask [lanes l] for each level of the U-Net."""
    prompt: Tensor | None = None
    """Text embedding [lanes e]."""
    prompted: Tensor | None = None
    """Which lanes have a prompt [lanes]; all, if not given."""
    last: Tensor | None = None
    """The last of the frames carried over, for a denoiser that copies it: whole, without noise [lanes c h w]."""

    def to(self, dtype: torch.dtype) -> "Clip":
        """Its numbers in another type."""
        return replace(
            self,
            reference=self.reference.to(dtype),
            motion=self.motion.to(dtype),
            face_embedding=self.face_embedding.to(dtype),
            audio=self.audio.to(dtype),
            region=self.region.to(dtype),
            masks=tuple(tuple(mask.to(dtype) for mask in region) for region in self.masks),
            prompt=None if self.prompt is None else self.prompt.to(dtype),
        )


def clip_context(
    networks: ChainNetworks,
    clip: Clip,
    *,
    guided: bool,
    motion_scale: tuple[float, float, float] = (1.0, 1.0, 1.0),
    text: TextBranch | None = None,
) -> ClipContext:
    """Everything about a clip that does not change from step to step.

    `guided` puts the unconditional half in front: no face, no reference, no audio, no region, no prompt.
    """
    config, clip = networks.config, clip.to(networks.dtype)
    tokens = networks.imageproj(clip.face_embedding)[None]
    if guided:
        tokens = torch.cat([networks.imageproj(torch.zeros_like(clip.face_embedding))[None], tokens])
    halves = len(tokens)
    banks = reference_banks(networks.reference_unet, clip.reference, clip.motion, tokens, config)
    return networks.denoising_unet.prepare_clip(
        banks=banks,
        image_tokens=tokens.flatten(0, 1),
        audio_tokens=networks.audioproj(clip.audio),
        masks=[[mask.repeat(halves, 1) for mask in region] for region in clip.masks],
        pose=networks.face_locator(clip.region),
        motion_scale=motion_scale,
        text=_modulation(clip, text, guided),
        beside=_beside(networks, clip).repeat(halves, 1, 1, 1) if config.unet.corrects else None,
    )


def _beside(networks: ChainNetworks, clip: Clip) -> Tensor:
    return beside(clip.reference, clip.last, networks.denoising_unet.shift)


def _modulation(clip: Clip, text: TextBranch | None, guided: bool) -> dict[str, Modulation] | None:
    if text is None:
        if clip.prompt is not None:
            raise ValueError("a prompt was given, but this family has no text weights")
        return None
    lanes = len(clip.reference)
    prompt = clip.prompt
    if prompt is None:
        prompt = text.null_embedding.expand(lanes, -1)
    present = clip.prompted
    if present is None:
        present = torch.ones(lanes, dtype=torch.bool, device=prompt.device)
    return text(text.embeddings(prompt, present, guided=guided))


@torch.no_grad()
def clip_steps(
    networks: ChainNetworks,
    clip: Clip,
    noise: Tensor,
    sampling: Sampling,
    text: TextBranch | None = None,
    denoise: Denoise | None = None,
    elsewhere: Elsewhere | None = None,
) -> Iterator[Tensor]:
    """Denoise `noise` [lanes f c h w] into a clip's latents, yielding them after every step.

    `denoise`: the networks' denoiser in another form (`models.execution.compiled`); `elsewhere`: another copy of it,
    which takes the unconditional half on a device of its own (`models.diffusion.two_devices`).
    """
    _check(networks.config, clip, noise)
    lanes, with_guidance = len(noise), sampling.guided_steps > 0
    context = clip_context(networks, clip, guided=with_guidance, motion_scale=sampling.motion_scale, text=text)
    alone = with_guidance and (elsewhere is not None or sampling.guided_steps < sampling.steps)
    conditional = context.last(lanes) if alone else context
    unconditional = moved(context.silent(lanes), elsewhere.device) if elsewhere and with_guidance else None
    denoise = denoise or networks.denoising_unet
    corrector = Corrector.of(sampling.schedule, noise.device) if networks.config.unet.corrects else None
    deep, other = (DeepFeatures() if sampling.deep_every > 1 else None for _ in range(2))

    def predict(latents: Tensor, timestep: Tensor) -> Tensor:
        timestep = timestep.to(latents.device).expand(len(latents))
        seen = context if len(latents) > lanes else conditional
        cast = latents.to(networks.dtype)
        if elsewhere is not None and len(latents) > lanes:
            (theirs, mine), (their_time, time) = cast.chunk(2), timestep.chunk(2)
            given = elsewhere.beside(
                lambda: denoise(mine, time, conditional, deep), theirs, their_time, unconditional, other
            )
        else:
            given = denoise(cast, timestep, seen, deep)
        given = given.to(latents.dtype)
        if corrector is None or seen.beside is None:
            return given
        return corrector(given, latents, seen.beside, timestep)

    both, numbers = guided(predict, sampling.guidance_scale), count()

    def step(latents: Tensor, timestep: Tensor) -> Tensor:
        number = next(numbers)
        for kept in (deep, other):
            if kept is not None:
                kept.fresh = number % sampling.deep_every == 0
        return (both if number < sampling.guided_steps else predict)(latents, timestep)

    yield from solve(step, noise, sampling.schedule, sampling.steps, sampling.solver)


def run_clip(
    networks: ChainNetworks,
    clip: Clip,
    noise: Tensor,
    sampling: Sampling,
    text: TextBranch | None = None,
    denoise: Denoise | None = None,
    elsewhere: Elsewhere | None = None,
) -> Tensor:
    """Denoise `noise` [lanes f c h w] into the latents of one clip, of the same shape."""
    latents = noise
    for step in clip_steps(networks, clip, noise, sampling, text, denoise, elsewhere):
        latents = step
    return latents


def _check(config: ChainConfig, clip: Clip, noise: Tensor) -> None:
    lanes, frames = noise.shape[:2]
    counts = {
        "reference": len(clip.reference),
        "motion": len(clip.motion),
        "face_embedding": len(clip.face_embedding),
        "audio": len(clip.audio),
        "region": len(clip.region),
        "masks": min(len(mask) for region in clip.masks for mask in region),
        "prompt": lanes if clip.prompt is None else len(clip.prompt),
        "prompted": lanes if clip.prompted is None else len(clip.prompted),
    }
    wrong = {name: count for name, count in counts.items() if count != lanes}
    if wrong:
        raise ValueError(f"the noise is for {lanes} lanes, but {wrong} were given: give one entry a lane")
    if clip.audio.shape[1] != frames:
        raise ValueError(f"the noise has {frames} frames and the audio {clip.audio.shape[1]}: give as many")
    if clip.motion.shape[1] + frames > config.unet.positions:
        raise ValueError(
            f"{clip.motion.shape[1]} motion frames and {frames} clip frames do not fit into the "
            f"{config.unet.positions} positions of the motion modules"
        )
