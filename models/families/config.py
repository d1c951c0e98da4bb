"""Widths and constants of the chain's networks, as plain data.

Nothing here imports torch, so a planner may read these without loading a network. The defaults are the published
widths; what the published code does differently from its paper, or by accident, is a field that is off by default and
on in `HALLO2`.
"""

from dataclasses import dataclass, field
from math import ceil
from typing import Literal


@dataclass(frozen=True)
class UNetConfig:
    """The U-Net that ReferenceNet and the denoiser share, level by level from the finest to the coarsest."""

    latent_channels: int = 4
    channels: tuple[int, ...] = (320, 640, 1280, 1280)
    attention: tuple[bool, ...] = (True, True, True, False)
    """Which levels carry attention (and, in the denoiser, audio and motion modules)."""
    layers: int = 2
    """Residual blocks a level on the way down; the way up has one more."""
    heads: int = 8
    groups: int = 32
    """Groups of every group normalisation."""
    image_token_width: int = 768
    audio_token_width: int = 768
    positions: int = 32
    """Length of the temporal position table: motion frames and clip frames must fit into it."""
    narrow_audio: bool = False
    """Published quirk: the inner width of an audio module is its level's input width, not its own."""
    idle_motion_modules: bool = False
    """Published quirk: levels without attention hold motion modules that inference never runs."""
    patch: int = 1
    """Latents a side that are folded into one token in front of the first convolution."""
    expansion: int = 4
    """Inner width of every feed-forward over its own."""
    corrects: bool = False
    """Whether the denoiser sees the portrait's latents and the last motion frame's beside the noisy ones, and corrects
    what these imply (`models.diffusion.correction`). A small network then needs not draw what it can copy."""

    def __post_init__(self) -> None:
        if len(self.attention) != len(self.channels):
            raise ValueError(
                f"attention has {len(self.attention)} entries and channels has {len(self.channels)}: "
                "give one of each for every level"
            )
        if self.patch < 1 or self.expansion < 1:
            raise ValueError(f"patch is {self.patch} and expansion {self.expansion}: expected 1 or more")
        for width in self.channels:
            if width % self.groups or width % self.heads:
                raise ValueError(
                    f"channels has the width {width}, which {self.groups} groups and {self.heads} heads "
                    "do not both divide: choose another width, or other groups and heads"
                )

    @property
    def time_width(self) -> int:
        """Width of the timestep embedding."""
        return 4 * self.channels[0]


@dataclass(frozen=True)
class FaceLocatorConfig:
    """Region mask to a feature map at latent resolution: every step after the first halves the side."""

    channels: tuple[int, ...] = (16, 32, 64, 128)
    shrink: int = 1
    """The mask is averaged over squares of so many pixels a side first: a rectangle needs no full size."""


@dataclass(frozen=True)
class ImageProjectionConfig:
    """Face embedding to image tokens."""

    embedding_width: int = 512
    tokens: int = 4


@dataclass(frozen=True)
class AudioProjectionConfig:
    """Audio features around one frame to that frame's audio tokens."""

    window: int = 5
    layers: int = 12
    feature_width: int = 768
    hidden_width: int = 512
    tokens: int = 32

    def __post_init__(self) -> None:
        if self.window % 2 == 0:
            raise ValueError(f"window is {self.window}: an odd number is needed, the frame is in its middle")

    @property
    def radius(self) -> int:
        """Frames on each side of the middle one."""
        return self.window // 2


@dataclass(frozen=True)
class ChainConfig:
    """Every network that one clip passes through, and how many frames it takes and gives."""

    unet: UNetConfig = field(default_factory=UNetConfig)
    face_locator: FaceLocatorConfig = field(default_factory=FaceLocatorConfig)
    image_projection: ImageProjectionConfig = field(default_factory=ImageProjectionConfig)
    audio_projection: AudioProjectionConfig = field(default_factory=AudioProjectionConfig)
    clip_frames: int = 16
    motion_frames: int = 2
    half_banks: bool = False
    """Published quirk: reference features are rounded to float16 on their way into the denoiser."""
    interleaved_portraits: bool = False
    """Published quirk: under guidance, conditional frames read the unconditional and the conditional half's portrait
    features in turn."""
    interleaved_image_tokens: bool = False
    """Published quirk: ReferenceNet's rows meet the two halves' image tokens in turn, whatever half they are in."""

    def __post_init__(self) -> None:
        frames = self.motion_frames + self.clip_frames
        if frames > self.unet.positions:
            raise ValueError(
                f"motion_frames {self.motion_frames} and clip_frames {self.clip_frames} make {frames} frames: "
                f"the temporal position table has {self.unet.positions}"
            )


@dataclass(frozen=True)
class ClipConfig:
    """Widths of a CLIP text model. The defaults are those of the published ViT-L/14."""

    width: int = 768
    layers: int = 12
    heads: int = 12
    feed_forward: int = 3072
    vocabulary: int = 49_408
    """Words and pieces of words; the last two begin and end a prompt."""
    positions: int = 77


@dataclass(frozen=True)
class TextConfig:
    """The text branch: a separate set of weights beside the denoiser."""

    embedding_width: int = 768
    hidden_width: int = 768
    clip: ClipConfig | None = None
    """What makes a prompt's embedding; without it, hashes of its n-grams, which need no weights."""

    def __post_init__(self) -> None:
        if self.clip is not None and self.clip.width != self.embedding_width:
            raise ValueError(
                f"embedding_width is {self.embedding_width} and the CLIP text model's width {self.clip.width}: "
                "give both the same"
            )


@dataclass(frozen=True)
class SpeechConfig:
    """Widths of wav2vec2. The defaults are the published base model's."""

    width: int = 768
    layers: int = 12
    heads: int = 12
    feed_forward: int = 3072
    convolutions: tuple[int, ...] = (512,) * 7
    positions: int = 128
    """Frames that the position convolution sees."""
    position_groups: int = 16


@dataclass(frozen=True)
class VaeConfig:
    """A diffusers AutoencoderKL, with an optional pixel unshuffle in front of it (and shuffle behind)."""

    latent_channels: int = 4
    channels: tuple[int, ...] = (128, 256, 512, 512)
    layers: int = 2
    groups: int = 32
    middle_attention: bool = True
    scale: float = 0.18215
    """Latents are the encoder's mean times this."""
    unshuffle: int = 1
    """Pixels a side that are folded into channels before the first convolution."""
    shrink: int = 1
    """Pixels a side that are averaged before anything else; the decoder's pictures are enlarged as much."""
    cosines: bool = False
    """Whether the latents start from the first cosines of every place, to which the encoder adds, and the decoder from
    the picture that these make: both then learn from a rough picture on, rather than from none."""

    @property
    def factor(self) -> int:
        """Pixels a side that one latent stands for."""
        return self.shrink * self.unshuffle * 2 ** (len(self.channels) - 1)


@dataclass(frozen=True)
class SamplerConfig:
    """The diffusion schedule. The published model samples with linear betas; it was trained with scaled_linear."""

    betas: str = "linear"
    beta_start: float = 0.00085
    beta_end: float = 0.012
    train_steps: int = 1000
    prediction: str = "v_prediction"
    zero_terminal_snr: bool = True
    spacing: str = "trailing"


@dataclass(frozen=True)
class Sampling:
    """How a clip is denoised."""

    steps: int = 40
    guidance_scale: float = 3.5
    """1 does without the unconditional half."""
    motion_scale: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """How strongly audio moves the background (pose), the face and the lips."""
    schedule: SamplerConfig = field(default_factory=SamplerConfig)
    guided_share: float = 1.0
    """Share of the steps, from the first on, that are guided; the others are the conditional half's alone."""
    solver: Literal["ddim", "dpm++"] = "ddim"
    """How a step is taken (`models.diffusion.sampler`)."""
    deep_every: int = 1
    """The levels below the first run at every so many steps; in between, what they last gave is used again."""

    def __post_init__(self) -> None:
        if self.guidance_scale < 1:
            raise ValueError(f"guidance_scale is {self.guidance_scale}: expected 1 (no guidance) or more")
        if not 0 <= self.guided_share <= 1 or self.deep_every < 1:
            raise ValueError(
                f"guided_share is {self.guided_share} and deep_every {self.deep_every}: "
                "expected a share of 0 to 1, and 1 or more"
            )

    @property
    def guided_steps(self) -> int:
        """How many steps, from the first on, take both halves."""
        return ceil(self.steps * self.guided_share) if self.guidance_scale > 1 else 0


HALLO2 = ChainConfig(
    unet=UNetConfig(narrow_audio=True, idle_motion_modules=True),
    half_banks=True,
    interleaved_portraits=True,
    interleaved_image_tokens=True,
)
"""The published network, quirks included."""


@dataclass(frozen=True)
class MovementConfig:
    """What tells how a photograph moves with what is heard (`models.diffusion.movement`)."""

    latents: int = 8
    maps: int = 9
    width: int = 40
    deep: int = 64
    code: int = 32
    prompts: int = 10
    """Expressions and turns that can be asked for (`models.families.vocabulary.ASKED`)."""
    detail: int = 48
    rows: int = 7
    bands: int = 80
    past: int = 10
    """Frames of sound before a frame that are heard with it."""
    next: int = 2

    @property
    def window(self) -> int:
        return self.past + self.next + 1
