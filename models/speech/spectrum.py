"""Speech to log-mel spectra, four a video frame, and averages of those before: what a small family hears.

Shapes: s samples at 16 kHz, f frames, 4 hops a frame, 80 bands.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from models.speech.speech_level import gain_for, speech_level

SAMPLE_RATE = 16_000
SAMPLES_A_FRAME = 640
HOP = 160  # 10 ms: four to a frame, so a frame's spectra begin exactly with its samples
WINDOW = 400  # 25 ms
BANDS = 80
LOWEST, HIGHEST = 40.0, 7600.0  # Hz
FLOOR = 1e-4  # amplitude below which a band is silent
PAST = 50  # frames before one that its averages remember
FADES = (4.0, 8.0, 16.0)  # frames over which they forget
ROWS = SAMPLES_A_FRAME // HOP + len(FADES)


def heard(speech: Tensor) -> Tensor:
    """speech [s], -1..1, whole frames → [f, 7, 80]: a frame's four spectra, then what was heard before it.

    The mouth follows the sound of the moment; a head leans into a sentence and lids close after one, which takes
    hearing seconds. The averages fade exponentially and end after `PAST` frames, before which there was silence.
    """
    now = log_mel(speech)
    level = F.pad(now.mean(1).T[:, None], (PAST - 1, 0), value=-1.0)
    weights = torch.exp(-torch.arange(PAST - 1, -1, -1) / torch.tensor(FADES)[:, None])
    before = F.conv1d(level, (weights / weights.sum(1, keepdim=True))[:, None])
    return torch.cat([now, before.permute(2, 1, 0)], dim=1)


def levelled(speech: Tensor) -> Tensor:
    """speech [s] at 16 kHz, -1..1 -> the same, as loud as families have learned to hear it."""
    return speech * gain_for(speech_level([speech.numpy()]))


def log_mel(speech: Tensor) -> Tensor:
    """speech [s], -1..1, whole frames → [f, 4, 80]: log of the mel bands' energy, about -1..1, silence at -1.

    A hop's window is centred on its 160 samples and so reaches 120 samples into its neighbours.
    """
    if len(speech) % SAMPLES_A_FRAME:
        raise ValueError(f"speech has {len(speech)} samples: expected whole frames of {SAMPLES_A_FRAME}")
    reach = (WINDOW - HOP) // 2
    frames = F.pad(speech, (reach, reach)).unfold(0, WINDOW, HOP)
    power = torch.fft.rfft(frames * torch.hann_window(WINDOW, periodic=False)).abs().square()
    bands = power @ mel_filters().T
    floor = FLOOR**2 * WINDOW
    level = torch.log10(bands.clamp_min(floor) / floor)
    return (level / 4 - 1).reshape(-1, SAMPLES_A_FRAME // HOP, BANDS)


def mel_filters() -> Tensor:
    """Triangles [80, 201] evenly spaced on the mel scale (2595·log10(1 + f/700)), each of unit peak."""

    def mel(hertz: float) -> float:
        return 2595 * math.log10(1 + hertz / 700)

    points = 700 * (10 ** (torch.linspace(mel(LOWEST), mel(HIGHEST), BANDS + 2, dtype=torch.float64) / 2595) - 1)
    bins = torch.linspace(0, SAMPLE_RATE / 2, WINDOW // 2 + 1, dtype=torch.float64)
    low, centre, high = points[:-2, None], points[1:-1, None], points[2:, None]
    rising, falling = (bins - low) / (centre - low), (high - bins) / (high - centre)
    return torch.minimum(rising, falling).clamp_min(0).float()
