"""The denoising U-Net: noisy clip latents in, the model's prediction out.

At each site: residual block, spatial transformer with the reference, text modulation where there is text, audio module,
motion module over motion frames and clip. This is the order that the published inference really runs; its levels
without attention hold motion modules that nothing runs (`UNetConfig.idle_motion_modules`).

Whatever does not change from step to step is projected once a clip, into a `ClipContext`. Rows without conditions
(the unconditional half of guidance) lead the batch: r rows, of which the last r' see the reference and hear audio.

Shapes: r rows, f frames, c channels, h w latent sides, l pixels of a level, t tokens, m motion frames.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from models.diffusion.audio_attention import AudioContext
from models.diffusion.correction import ASIDE
from models.diffusion.latent_shift import LatentShift, bounded
from models.diffusion.reference import Bank
from models.diffusion.spatial import SpatialContext
from models.diffusion.text_modulation import Modulation, modulate
from models.diffusion.unet import DeepFeatures, Site, UNet
from models.families.config import UNetConfig
from models.kernels.fused import group_norm


@dataclass(frozen=True)
class SiteContext:
    """Everything that one site sees, projected."""

    spatial: SpatialContext
    audio: AudioContext
    motion: Tensor | None
    """None where every frame stands alone, as in the first stage of training."""
    text: Modulation | None

    def silent(self, rows: int) -> "SiteContext":
        return SiteContext(
            spatial=self.spatial.silent(rows),
            audio=self.audio.silent(rows),
            motion=None if self.motion is None else self.motion[:rows],
            text=None if self.text is None else Modulation(self.text.scale[:rows], self.text.shift[:rows]),
        )

    def last(self, rows: int) -> "SiteContext":
        return SiteContext(
            spatial=self.spatial.last(rows),
            audio=self.audio.last(rows),
            motion=None if self.motion is None else self.motion[-rows:],
            text=None if self.text is None else Modulation(self.text.scale[-rows:], self.text.shift[-rows:]),
        )


@dataclass(frozen=True)
class ClipContext:
    """What stays the same over the steps of one clip."""

    sites: dict[str, SiteContext]
    pose: Tensor
    """Face locator's features [r' c h w] of the last rows, added behind the first convolution."""
    beside: Tensor | None = None
    """Latents of the portrait and of the last motion frame [r 2·c+2 h w], for a denoiser that corrects them."""

    def silent(self, rows: int) -> "ClipContext":
        """The context of the first rows alone, none of which has conditions."""
        sites = {name: site.silent(rows) for name, site in self.sites.items()}
        return ClipContext(sites, self.pose[:0], None if self.beside is None else self.beside[:rows])

    def last(self, rows: int) -> "ClipContext":
        """The context of the last rows alone, all of which have conditions."""
        sites = {name: site.last(rows) for name, site in self.sites.items()}
        return ClipContext(sites, self.pose, None if self.beside is None else self.beside[-rows:])


class DenoisingUNet(UNet):
    """The U-Net with audio and motion modules."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__(config, conditioned=True)
        self.conv_norm_out = nn.GroupNorm(config.groups, config.channels[0], eps=1e-5)
        given = config.latent_channels
        if config.corrects:
            given += ASIDE + 2
            self.shift = LatentShift(config.latent_channels)
        self.conv_out = nn.Conv2d(config.channels[0], given * config.patch**2, 3, padding=1)

    def prepare_clip(
        self,
        *,
        banks: Mapping[str, Bank],
        image_tokens: Tensor,
        audio_tokens: Tensor,
        masks: Sequence[Sequence[Tensor]],
        pose: Tensor,
        motion_scale: Sequence[float] = (1.0, 1.0, 1.0),
        text: Mapping[str, Modulation] | None = None,
        beside: Tensor | None = None,
    ) -> ClipContext:
        """Project the conditions of a clip.

        `banks` by site; `image_tokens` [r t c]; `audio_tokens` [r' f t c]; `masks`: for each region (background,
        face, lips) a mask [r l] for each level; `pose` [r' c h w]; `motion_scale`: weight of each region;
        `text`: modulation by site; `beside`: see `ClipContext`. Banks without motion frames: frames stand alone.
        """
        sizes = self.level_sizes(*pose.shape[-2:])
        for region in masks:
            found, wanted = [mask.shape[-1] for mask in region], [h * w for h, w in sizes]
            if found != wanted:
                raise ValueError(f"a region's masks have {found} pixels a level; these latents need {wanted}")
        return ClipContext(
            sites={
                site.name: SiteContext(
                    spatial=site.level.attentions[site.index].context(image_tokens, banks[site.name].reference),
                    audio=site.level.audio_modules[site.index].context(
                        audio_tokens, tuple(region[site.depth] for region in masks), tuple(motion_scale)
                    ),
                    motion=None
                    if banks[site.name].motion.shape[1] == 0
                    else site.level.motion_modules[site.index].context(banks[site.name].motion, sizes[site.depth]),
                    text=None if text is None else text[site.name],
                )
                for site in self.sites()
            },
            pose=pose,
            beside=beside,
        )

    def forward(
        self, latents: Tensor, timestep: Tensor, context: ClipContext, deep: DeepFeatures | None = None
    ) -> Tensor:
        """`latents` [r f c h w], `timestep` [r] -> the prediction, in the shape of `latents`. `deep`: see `walk`.

        A denoiser that corrects gives more channels (`models.diffusion.correction`): the moved portrait among them, and
        at the end from where everything in the frames came, in latents to the right and down.
        """
        rows, frames = latents.shape[:2]

        def visit(site: Site, x: Tensor) -> Tensor:
            seen, level, j = context.sites[site.name], site.level, site.index
            x, _ = level.attentions[j](x, seen.spatial)
            if seen.text is not None:
                x = modulate(x, seen.text)
            x = level.audio_modules[j](x, seen.audio)
            return x if seen.motion is None else level.motion_modules[j](x, seen.motion)

        if context.beside is not None:
            latents = torch.cat([latents, context.beside[:, None].expand(-1, frames, -1, -1, -1)], dim=2)
        x = self.enter(rearrange(latents, "r f c h w -> (r f) c h w"))
        x = self._add_pose(rearrange(x, "(r f) c h w -> r f c h w", r=rows), context.pose)
        time = self.time_embedding(timestep)
        x = self.walk(rearrange(x, "r f c h w -> (r f) c h w"), time, visit, deep)
        x = F.pixel_shuffle(self.conv_out(group_norm(x, self.conv_norm_out, silu=True)), self.config.patch)
        x = rearrange(x, "(r f) c h w -> r f c h w", f=frames)
        if context.beside is None:
            return x
        given, by = x.split([x.shape[2] - 2, 2], dim=2)
        portrait, before = context.beside[:, : self.config.latent_channels], context.beside[:, None, -2:]
        with torch.autocast(x.device.type, enabled=False):
            by = before.float() + bounded(by)
            return torch.cat([given.float(), self.shift(portrait, by), by], dim=2)

    @staticmethod
    def _add_pose(x: Tensor, pose: Tensor) -> Tensor:
        # Rows without conditions lead and have no pose.
        silent = x.shape[0] - pose.shape[0]
        if silent == x.shape[0]:
            return x
        return x + F.pad(pose, (0, 0, 0, 0, 0, 0, silent, 0))[:, None]
