"""Widths and constants of the high-resolution networks, as plain data that imports no torch.

The defaults are the published widths.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class CodebookConfig:
    """Sizes of the autoencoder whose codebook the restorer draws from."""

    side: int = 512
    unshuffle: int = 1
    """Pixels a side that are folded into channels before the first convolution: cheap at the same side."""
    width: int = 64
    multipliers: tuple[int, ...] = (1, 2, 2, 4, 4, 8)
    blocks: int = 2
    """Residual blocks a level."""
    attention_at: tuple[int, ...] = (16,)
    """Feature map sizes with attention."""
    code_width: int = 256
    codes: int = 1024
    groups: int = 32
    """Of the group norms; 0 normalises every cell by itself."""
    middle_attention: bool = True
    """Whether the cells of the grid see each other before they are quantised, and after."""

    def __post_init__(self) -> None:
        steps = self.unshuffle * 2 ** (len(self.multipliers) - 1)
        if self.side % steps:
            raise ValueError(
                f"codebook side {self.side} is no multiple of {steps} (unshuffle {self.unshuffle} and "
                f"{len(self.multipliers)} levels): choose another side, or fewer levels"
            )
        if not self.groups:
            return
        bad = [m for m in self.multipliers if self.width * m % self.groups]
        if bad or self.width % self.groups:
            raise ValueError(
                f"codebook width {self.width} times {bad or [1]} is not divided by {self.groups} groups: "
                "choose another width, or other groups"
            )

    @property
    def inner(self) -> int:
        """Width of the image as the first convolution sees it."""
        return self.side // self.unshuffle

    @property
    def sizes(self) -> tuple[int, ...]:
        """Feature map width of each level, largest first."""
        return tuple(self.inner >> level for level in range(len(self.multipliers)))

    @property
    def grid(self) -> int:
        """Code positions a side."""
        return self.sizes[-1]

    def channels_at(self, size: int) -> int:
        """Channels of the level whose feature maps are `size` wide."""
        return self.width * self.multipliers[self.sizes.index(size)]


@dataclass(frozen=True)
class SkipConfig:
    """The way around the codebook: pixels averaged over the window where frames agree, and a correction to them."""

    cell: int = 8
    """Side in pixels of what is compared between frames."""
    keys: int = 16
    """Numbers that cells are compared by."""
    fold: int = 4
    """Pixels a side that are folded into channels for the correction."""
    width: int = 32
    layers: int = 2


@dataclass(frozen=True)
class RestorerConfig:
    """The temporal restorer around that codebook.

    `input` chooses between the two designs of the paper's Figure 4: `pixels` encodes the decoded frames,
    `latents` reads the diffusion model's latents and has no encoder levels above their size.
    """

    codebook: CodebookConfig = field(default_factory=CodebookConfig)
    dim: int = 512
    heads: int = 8
    layers: int = 9
    fuse_at: tuple[int, ...] = (32, 64, 128, 256)
    """Feature map sizes at which the encoder may modulate the generator."""
    input: Literal["pixels", "latents"] = "pixels"
    latent_channels: int = 4
    latent_side: int = 64
    spatial: bool = True
    """Whether the positions of a frame attend to each other; if not, each attends to itself in the other frames."""
    skip: SkipConfig | None = None
    """What fidelity mixes in, in place of or beside fusion; pixels only."""

    def __post_init__(self) -> None:
        if self.skip is not None and self.input != "pixels":
            raise ValueError(f"restorer skip needs pixels and input is {self.input!r}: leave it out")
        sizes = self.codebook.sizes
        unknown = [size for size in self.fuse_at if size not in sizes]
        if unknown:
            raise ValueError(f"restorer fuse_at has {unknown}: feature maps are {sizes} wide")
        if self.input == "latents" and self.latent_side not in sizes:
            raise ValueError(
                f"restorer latents are {self.latent_side} wide and feature maps {sizes}: "
                "change side, unshuffle or the number of levels until one fits"
            )

    @property
    def local(self) -> bool:
        """Whether a position sees only its surroundings: then pictures of any size can be restored."""
        book = self.codebook
        return not (self.spatial or book.groups or book.middle_attention or book.attention_at)

    @property
    def fused_sizes(self) -> tuple[int, ...]:
        """Sizes at which fusion happens: the encoder must have a map of that size."""
        widest = self.latent_side if self.input == "latents" else self.codebook.inner
        return tuple(size for size in self.fuse_at if size <= widest)


@dataclass(frozen=True)
class EnlargerConfig:
    """The x2 enlarger of background and face."""

    width: int = 64
    growth: int = 32
    blocks: int = 23


@dataclass(frozen=True)
class FoldedEnlargerConfig:
    """A lighter x2 enlarger, all of whose work is done at half the input's size."""

    width: int = 16
    layers: int = 3


@dataclass(frozen=True)
class DetectorConfig:
    """The face detector: a residual network of four levels, each twice as wide, under a feature pyramid."""

    width: int = 64
    layers: tuple[int, int, int, int] = (3, 4, 6, 3)
    pyramid: int = 256


@dataclass(frozen=True)
class ParserConfig:
    """The face parser."""

    width: int = 64
    widest: int = 256
    downs: int = 4
    depth: int = 10
    labels: int = 19


@dataclass(frozen=True)
class UpscaleConfig:
    """How one window of frames is brought to its target size."""

    crop: Literal["landmarks", "box", "whole"] = "landmarks"
    """Where the restorer looks: a face aligned by its landmarks, a fixed square box, or the whole frame."""
    face_choice: Literal["largest", "published"] = "largest"
    smoothing: float = 1.0
    """Spread in frames of the weights that average landmarks inside a window; 0 leaves them as found."""
    adain: bool = True
    keep_colour: bool = True
    """Give the result the low frequencies of its input."""
    enlarge_face: bool = True
    """Bring the restored crop towards the target size with the x2 network rather than by interpolation."""
    tile: int = 400
    tile_pad: int = 40
    group: int = 1
    """Frames that a network sees at once."""
