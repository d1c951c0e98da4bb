"""Speech to one feature vector a video frame and transformer layer: wav2vec2 by transformers.

The convolutional features (50 a second) are interpolated to the frame rate before the transformer, as published, so
its attention sees video frames.

Shapes: s samples at 16 kHz, f frames, k layers, c channels.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.families.config import SpeechConfig

SAMPLE_RATE = 16_000
FRAME_RATE = 25
SAMPLES_A_FRAME = SAMPLE_RATE // FRAME_RATE


def interpolate_time(features: Tensor, frames: int) -> Tensor:
    """`features` [n t c] -> [n frames c], linear, first and last kept."""
    return F.interpolate(features.transpose(1, 2), size=frames, mode="linear", align_corners=True).transpose(1, 2)


def normalise(wave: Tensor, by: Tensor | None = None) -> Tensor:
    """`wave` [s] to zero mean and unit variance; measured on `by`, a part of it, where that is given."""
    by = wave if by is None else by
    return (wave - by.mean()) / torch.sqrt(by.var(unbiased=False) + 1e-7)


def frame_count(samples: int) -> int:
    """Video frames that `samples` at 16 kHz begin."""
    return math.ceil(samples / SAMPLES_A_FRAME)


def published_padding(frames: int, before: int, clip: int) -> int:
    """Silent frames that the published code appends to the last cut of a file.

    `frames` of this cut, `before` of the cuts before it, clips of `clip` frames. It asks whether the cut fills whole
    clips, but pads as if for the whole file.
    """
    return (clip - (before + frames) % clip) if frames % clip else 0


class SpeechFeatures(nn.Module):
    """wav2vec2 without its language head; `model` holds the tensors. By default the published base model."""

    def __init__(self, config: SpeechConfig | None = None) -> None:
        from transformers import Wav2Vec2Config, Wav2Vec2Model  # slow to import, and not every family has one

        super().__init__()
        config = config or SpeechConfig()
        settings = Wav2Vec2Config(  # type: ignore[call-arg]
            hidden_size=config.width,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            intermediate_size=config.feed_forward,
            conv_dim=config.convolutions,
            num_conv_pos_embeddings=config.positions,
            num_conv_pos_embedding_groups=config.position_groups,
            # The plain attention gives the published numbers on every device.
            attn_implementation="eager",
        )
        self.model = Wav2Vec2Model(settings)

    def forward(self, wave: Tensor, frames: int) -> Tensor:
        """`wave` [s], normalised, that covers `frames` video frames -> features of all layers [f k c]."""
        local = self.model.feature_extractor(wave[None]).transpose(1, 2)
        hidden, _ = self.model.feature_projection(interpolate_time(local, frames))
        encoder = self.model.encoder
        hidden = encoder.layer_norm(hidden + encoder.pos_conv_embed(hidden))
        layers = []
        # Layer by layer, because transformers 5 no longer hands out what lies between an encoder's layers.
        for layer in encoder.layers:
            hidden = layer(hidden)
            hidden = hidden[0] if isinstance(hidden, tuple) else hidden
            layers.append(hidden[0])
        return torch.stack(layers, dim=1)


def published_names(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of a published wav2vec2 file under the names of `SpeechFeatures.model`.

    Drops the "wav2vec2." in front and the language head, and gives the weight-normalised convolution today's names.
    """
    norm = "encoder.pos_conv_embed.conv."
    result = {}
    for name, tensor in tensors.items():
        if name.startswith("lm_head."):
            continue
        name = name.removeprefix("wav2vec2.")
        name = name.replace(f"{norm}weight_g", f"{norm}parametrizations.weight.original0")
        name = name.replace(f"{norm}weight_v", f"{norm}parametrizations.weight.original1")
        result[name] = tensor
    return result


def audio_windows(
    features: Tensor, first: int, count: int, *, radius: int, start: int = 0, total: int | None = None
) -> Tensor:
    """The features around each of `count` frames from `first` on: [count 2·radius+1 …].

    `features` [f …] may be a part of a title: `start` is the number of its first frame and `total` the title's
    frames (by default, all that is given). Before the first and after the last frame of the title, that frame stands
    in. Raises ValueError if a needed frame lies outside the part.
    """
    total = start + len(features) if total is None else total
    offsets = torch.arange(-radius, radius + 1)
    wanted = (torch.arange(first, first + count)[:, None] + offsets).clamp(0, total - 1)
    low, high = int(wanted.min()), int(wanted.max())
    if low < start or high >= start + len(features):
        raise ValueError(
            f"frames {low} to {high} of the audio features are needed, "
            f"but {start} to {start + len(features) - 1} were given"
        )
    return features[(wanted - start).to(features.device)]
