"""One guided clip in the published order of operations, nothing left out and nothing kept: what ours is compared with.

At every step, for both halves of guidance: the portrait's features are repeated for every frame and projected anew,
all rows attend to frame and portrait, then those of the unconditional half once more to their frame alone; image
tokens are projected for every frame; the unconditional half attends to audio tokens that are zero; motion modules
answer the motion frames too, and drop the answers.

It computes with the same networks and the same attention kernel as ours, and copies nothing that the sums do not need.
One lane; families that correct their motion frames (`UNetConfig.corrects`) are not published ones.

Shapes: b rows (half, frame), f frames, m motion frames, l pixels (h·w), t tokens, c channels, h w sides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from models.diffusion.attention import Attention
from models.diffusion.audio_attention import AudioModule
from models.diffusion.clip import ChainNetworks, Clip
from models.diffusion.denoiser import DenoisingUNet
from models.diffusion.sampler import guided, solve
from models.diffusion.spatial import SpatialTransformer
from models.diffusion.temporal import MotionModule
from models.diffusion.unet import Site
from models.families.config import Sampling


@dataclass(frozen=True)
class Conditions:
    """What the published pipeline holds over the steps of a clip: nothing of it is projected for a layer."""

    banks: dict[str, Tensor]
    """By site, features of portrait and motion frames [2 1+m l c], the unconditional half first."""
    image_tokens: Tensor  # [2 t c]
    audio_tokens: Tensor  # [2 f t c], zeros for the unconditional half
    masks: Sequence[Sequence[Tensor]]  # by region, for each level [1 l]
    pose: Tensor  # [2 f c h w], zeros for the unconditional half
    motion_scale: Sequence[float]
    interleaved_portraits: bool


def plain_steps(networks: ChainNetworks, clip: Clip, noise: Tensor, sampling: Sampling) -> Iterator[Tensor]:
    """Denoise `noise` [1 f c h w], yielding the latents after every step."""
    if networks.config.unet.corrects or sampling.guidance_scale <= 1 or len(noise) != 1:
        raise ValueError("the plain order is that of one lane with guidance, of a network that corrects nothing")
    given = conditions(networks, clip, sampling.motion_scale)

    def predict(latents: Tensor, timestep: Tensor) -> Tensor:
        return denoise(networks.denoising_unet, latents, timestep.to(latents.device).expand(2), given)

    return solve(guided(predict, sampling.guidance_scale), noise, sampling.schedule, sampling.steps, sampling.solver)


def conditions(networks: ChainNetworks, clip: Clip, motion_scale: Sequence[float] = (1.0, 1.0, 1.0)) -> Conditions:
    """Both halves of everything; six pictures through ReferenceNet, the region once a frame."""
    config, frames = networks.config, clip.audio.shape[1]
    tokens = torch.cat(
        [networks.imageproj(torch.zeros_like(clip.face_embedding)), networks.imageproj(clip.face_embedding)]
    )
    pictures = torch.cat([clip.reference[:, None], clip.motion], dim=1)[0]
    count = len(pictures)
    paired = tokens.repeat(count, 1, 1) if config.interleaved_image_tokens else tokens.repeat_interleave(count, dim=0)
    banks = networks.reference_unet(pictures.repeat(2, 1, 1, 1), paired)
    if config.half_banks:
        banks = {name: bank.half().to(bank.dtype) for name, bank in banks.items()}
    audio = networks.audioproj(clip.audio)
    pose = networks.face_locator(clip.region.repeat_interleave(frames, dim=0))[None]
    return Conditions(
        banks={name: bank.unflatten(0, (2, count)) for name, bank in banks.items()},
        image_tokens=tokens,
        audio_tokens=torch.cat([torch.zeros_like(audio), audio]),
        masks=clip.masks,
        pose=torch.cat([torch.zeros_like(pose), pose]),
        motion_scale=motion_scale,
        interleaved_portraits=config.interleaved_portraits,
    )


def denoise(unet: DenoisingUNet, latents: Tensor, timestep: Tensor, given: Conditions) -> Tensor:
    """`latents` [2 f c h w], `timestep` [2] -> the prediction, in the shape of `latents`."""
    frames = latents.shape[1]

    def visit(site: Site, x: Tensor) -> Tensor:
        level, j, bank = site.level, site.index, given.banks[site.name]
        x = _spatial(level.attentions[j], x, bank[:, 0], given, frames)
        x = _audio(level.audio_modules[j], x, [region[site.depth] for region in given.masks], given)
        return _motion(level.motion_modules[j], x, bank[:, 1:], frames)

    x = unet.enter(latents.flatten(0, 1)) + given.pose.flatten(0, 1)
    x = unet.walk(x, unet.time_embedding(timestep), visit)
    x = F.pixel_shuffle(unet.conv_out(F.silu(unet.conv_norm_out(x))), unet.config.patch)
    return x.unflatten(0, (2, frames))


def _spatial(layer: SpatialTransformer, x: Tensor, portraits: Tensor, given: Conditions, frames: int) -> Tensor:
    """`x` [b c h w], `portraits` [2 l c]."""
    height, width = x.shape[-2:]
    block = layer.block
    tokens = rearrange(layer.proj_in(layer.norm(x)), "b c h w -> b (h w) c")
    seen = block.norm1(tokens)
    # The published code repeats the rows as a whole, so that a half's frames take both halves' portraits in turn.
    again = portraits.repeat(frames, 1, 1) if given.interleaved_portraits else portraits.repeat_interleave(frames, 0)
    answer = _attend(block.attn1, seen, torch.cat([seen, again], dim=1))
    alone = _attend(block.attn1, seen[:frames], seen[:frames])
    tokens = tokens + torch.cat([alone, answer[frames:]])
    image = given.image_tokens.repeat_interleave(frames, dim=0)
    tokens = tokens + _attend(block.attn2, block.norm2(tokens), image)
    tokens = tokens + block.ff(block.norm3(tokens))
    return x + layer.proj_out(rearrange(tokens, "b (h w) c -> b c h w", h=height, w=width))


def _audio(layer: AudioModule, x: Tensor, masks: list[Tensor], given: Conditions) -> Tensor:
    height, width = x.shape[-2:]
    block = layer.transformer_blocks[0]
    tokens = rearrange(layer.proj_in(layer.norm(x)), "b c h w -> b (h w) c")
    tokens = tokens + block.attn1(block.norm1(tokens))
    listening, heard = block.norm2(tokens), given.audio_tokens.flatten(0, 1)
    moved = torch.zeros_like(tokens)
    for (attention, gate), mask, weight in zip(block.regions(), masks, given.motion_scale, strict=True):
        answer = _attend(attention, listening, heard) * mask[..., None]
        moved = moved + weight * F.linear(answer, gate.weight[:, :, 0, 0], gate.bias)
    tokens = tokens + moved
    tokens = tokens + block.ff(block.norm3(tokens))
    return x + layer.proj_out(rearrange(tokens, "b (h w) c -> b c h w", h=height, w=width))


def _motion(layer: MotionModule, x: Tensor, features: Tensor, frames: int) -> Tensor:
    """`x` [b c h w], `features` [2 m l c]: motion frames lead in time, and their answers are dropped."""
    height, width = x.shape[-2:]
    earlier = rearrange(features, "r m (h w) c -> r m c h w", h=height, w=width)
    whole = torch.cat([earlier, x.unflatten(0, (2, frames))], dim=1).flatten(0, 1)
    body = layer.temporal_transformer
    tokens = rearrange(body.enter(whole), "(r t) l c -> (r l) t c", r=2)
    block = body.transformer_blocks[0]
    for attention, norm in zip(block.attention_blocks, block.norms, strict=True):
        tokens = tokens + attention.over_time(norm(tokens), skip=0)
    tokens = tokens + block.ff(block.ff_norm(tokens))
    hidden = body.proj_out(rearrange(tokens, "(r l) t c -> (r t) l c", r=2))
    whole = whole + rearrange(hidden, "b (h w) c -> b c h w", h=height, w=width)
    return whole.unflatten(0, (2, -1))[:, -frames:].flatten(0, 1)


def _attend(attention: Attention, x: Tensor, context: Tensor) -> Tensor:
    return attention(x, attention.keys(context))
