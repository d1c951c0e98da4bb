"""The U-Net skeleton that ReferenceNet and the denoiser share: levels, skips, and the order of their layers.

A level is a list of residual blocks; where `UNetConfig.attention` says so, each is followed by a spatial transformer,
and in the denoiser by an audio module and a motion module. A *site* is one such place; its name is that of its
spatial transformer, such as "down_blocks.0.attentions.1", and is the same in both networks.

Shapes: r rows, f frames, c channels, h w latent sides.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from models.diffusion.audio_attention import AudioModule
from models.diffusion.blocks import Downsample, ResnetBlock, TimestepEmbedding, Upsample
from models.diffusion.layers import LayerList
from models.diffusion.spatial import SpatialTransformer
from models.diffusion.temporal import MotionModule
from models.families.config import UNetConfig


class Level(nn.Module):
    """The layers of one resolution on one way through the U-Net."""

    def __init__(
        self,
        config: UNetConfig,
        widths_in: list[int],
        width: int,
        *,
        attention: int,
        conditioned: bool,
        narrow: list[int],
    ) -> None:
        """`widths_in`: input width of each residual block. `attention`: number of sites. `narrow`: input widths
        of the level as the published audio modules count them. `conditioned`: with audio and motion modules."""
        super().__init__()
        inner = narrow if config.narrow_audio else [width] * attention
        heard = attention if conditioned else 0
        # Levels without attention have motion modules in the published file all the same.
        idle = config.idle_motion_modules and conditioned and not attention
        moved = len(widths_in) if idle else heard
        self.attentions: LayerList[SpatialTransformer] = LayerList(
            [SpatialTransformer(config, width, norms_first=not conditioned) for _ in range(attention)]
        )
        self.resnets: LayerList[ResnetBlock] = LayerList(
            [ResnetBlock(before, width, config.time_width, config.groups) for before in widths_in]
        )
        self.audio_modules: LayerList[AudioModule] = LayerList(
            [AudioModule(config, width, inner[j]) for j in range(heard)]
        )
        self.motion_modules: LayerList[MotionModule] = LayerList([MotionModule(config, width) for _ in range(moved)])
        self.downsamplers: LayerList[Downsample] = LayerList()
        self.upsamplers: LayerList[Upsample] = LayerList()


@dataclass(frozen=True)
class Site:
    """A place with attention: its name, its level's layers, its number there, and the depth of the level."""

    name: str
    level: Level
    index: int
    depth: int


Visit = Callable[[Site, Tensor], Tensor]
"""What a network does at a site: features in, features out."""


class DeepFeatures:
    """What came up from the levels below the first, kept from step to step: it changes slowly."""

    def __init__(self) -> None:
        self.fresh = True
        """Whether it is to be computed anew."""
        self._kept: Tensor | None = None

    def take(self, compute: Callable[[], Tensor], rows: int) -> Tensor:
        """The features [rows …]: the last of the kept ones, where guidance has ended since they were computed."""
        if self.fresh or self._kept is None:
            self._kept = compute()
        return self._kept[-rows:]


class UNet(nn.Module):
    """Layers and walk; what happens at each site is the caller's."""

    def __init__(self, config: UNetConfig, *, conditioned: bool) -> None:
        super().__init__()
        self.config = config
        self.checkpointed = False
        """Training alone: what a site computes is not kept for the way back but computed again there."""
        widths = config.channels
        # A denoiser that corrects also sees portrait, last motion frame, and how the one became the other.
        seen = config.latent_channels * 3 + 2 if conditioned and config.corrects else config.latent_channels
        self.conv_in = nn.Conv2d(seen * config.patch**2, widths[0], 3, padding=1)
        self.time_embedding = TimestepEmbedding(widths[0], config.time_width)
        self.down_blocks: LayerList[Level] = LayerList()
        self.up_blocks: LayerList[Level] = LayerList()
        skips = [widths[0]]
        for depth, width in enumerate(widths):
            before = widths[max(depth - 1, 0)]
            widths_in = [before] + [width] * (config.layers - 1)
            sites = config.layers if config.attention[depth] else 0
            level = Level(config, widths_in, width, attention=sites, conditioned=conditioned, narrow=widths_in)
            skips += [width] * config.layers
            if depth < len(widths) - 1:
                level.downsamplers.append(Downsample(width))
                skips.append(width)
            self.down_blocks.append(level)
        for depth in reversed(range(len(widths))):
            width = widths[depth]
            below = widths[min(depth + 1, len(widths) - 1)]
            count = config.layers + 1
            widths_in = [(below if j == 0 else width) + skips.pop() for j in range(count)]
            sites = count if config.attention[depth] else 0
            narrow = [widths[max(depth - 1, 0)]] * count
            level = Level(config, widths_in, width, attention=sites, conditioned=conditioned, narrow=narrow)
            if depth > 0:
                level.upsamplers.append(Upsample(width))
            self.up_blocks.append(level)
        deepest = widths[-1]
        self.mid_block = Level(config, [deepest] * 2, deepest, attention=1, conditioned=conditioned, narrow=[deepest])

    def sites(self) -> Iterator[Site]:
        """Every site, in the order of the walk."""
        for depth, level in enumerate(self.down_blocks):
            yield from _sites(f"down_blocks.{depth}", level, depth)
        yield from _sites("mid_block", self.mid_block, len(self.down_blocks) - 1)
        for number, level in enumerate(self.up_blocks):
            yield from _sites(f"up_blocks.{number}", level, len(self.down_blocks) - 1 - number)

    def walk(self, x: Tensor, time: Tensor, visit: Visit, deep: DeepFeatures | None = None) -> Tensor:
        """`x` [(r f) c h w] behind the first convolution, `time` [r e] -> features of the last level.

        `deep`: what came up from below the first level, to be used again or renewed.
        """
        sites = {(id(site.level), site.index): site for site in self.sites()}

        def at_site(level: Level, index: int, x: Tensor) -> Tensor:
            site = sites.get((id(level), index))
            if site is None:
                return x
            if self.checkpointed and torch.is_grad_enabled():
                made: Tensor = checkpoint(visit, site, x, use_reentrant=False)
                return made
            return visit(site, x)

        def down(level: Level, x: Tensor, skips: list[Tensor]) -> Tensor:
            for j, resnet in enumerate(level.resnets):
                x = at_site(level, j, resnet(x, time))
                skips.append(x)
            return x

        def up(level: Level, x: Tensor, skips: list[Tensor]) -> Tensor:
            for j, resnet in enumerate(level.resnets):
                x = at_site(level, j, resnet(torch.cat([x, skips.pop()], dim=1), time))
            return x

        def below(x: Tensor) -> Tensor:
            """Every level but the first: down from the first's features, and up to its size again."""
            sizes = [x.shape[-2:]]
            skips: list[Tensor] = []  # torch's compiler does not follow list[Tensor]()
            for above, level in pairwise(self.down_blocks):
                x = above.downsamplers[0](x)
                skips.append(x)
                x = down(level, x, skips)
                sizes.append(x.shape[-2:])
            first, second = self.mid_block.resnets
            x = second(at_site(self.mid_block, 0, first(x, time)), time)
            for level, size in zip(self.up_blocks, reversed(sizes[:-1]), strict=False):
                x = up(level, x, skips)
                if level.upsamplers:
                    x = level.upsamplers[0](x, size=(size[0], size[1]))
            return x

        skips = [x]
        x = down(self.down_blocks[0], x, skips)
        x = below(x) if deep is None else deep.take(lambda: below(x), len(x))
        return up(self.up_blocks[-1], x, skips) if len(self.up_blocks) == len(self.down_blocks) else x

    def enter(self, latents: Tensor) -> Tensor:
        """Latents [n c h w] through the first convolution -> tokens of the first level [n c h w]."""
        return self.conv_in(F.pixel_unshuffle(latents, self.config.patch))

    def level_sizes(self, height: int, width: int) -> list[tuple[int, int]]:
        """Sides of each level for `height` x `width` tokens."""
        sizes = [(height, width)]
        for _ in self.config.channels[1:]:
            height, width = (height + 1) // 2, (width + 1) // 2
            sizes.append((height, width))
        return sizes


def _sites(name: str, level: Level, depth: int) -> Iterator[Site]:
    for index in range(len(level.attentions)):
        yield Site(f"{name}.attentions.{index}", level, index, depth)
