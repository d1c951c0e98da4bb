"""What a mouth does while something is said: targets from the sound itself, 25 a second.

Opening follows the energy between 100 and 1000 Hz relative to the recording's loudest tenth, wider where the lower half
of that band is weak (an open vowel's first formant is high), faster to open than to close. Width and rounding follow
the second formant's region, teeth the share of high frequencies; a nasal hum closes the lips.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from models.drawn.shapes import smooth
from models.speech.spectrum import HOP, SAMPLE_RATE, SAMPLES_A_FRAME, WINDOW

RANGE = 26.0  # decibels below loud speech at which the mouth is shut
QUIET = -62.0  # decibels of full scale below which nothing counts as speech
ATTACK, RELEASE = 0.65, 0.2  # of the way, every 10 ms
HOPS = SAMPLES_A_FRAME // HOP


@dataclass(frozen=True)
class MouthTargets:
    """Fields [f], a video frame each."""

    opening: Tensor  # 0..1
    width: Tensor  # -1..1
    rounding: Tensor  # 0..1
    teeth: Tensor  # 0..1

    def frames(self, part: slice) -> MouthTargets:
        return MouthTargets(self.opening[part], self.width[part], self.rounding[part], self.teeth[part])


def mouth_targets(speech: Tensor) -> MouthTargets:
    """speech [s] at 16 kHz, -1..1, whole frames -> its targets. The level of the whole recording is what counts."""
    if len(speech) % SAMPLES_A_FRAME or len(speech) == 0:
        raise ValueError(f"speech has {len(speech)} samples: expected whole frames of {SAMPLES_A_FRAME}, at least one")
    reach = (WINDOW - HOP) // 2
    window = torch.hann_window(WINDOW, periodic=False)
    power = torch.fft.rfft(F.pad(speech, (reach, reach)).unfold(0, WINDOW, HOP) * window).abs().square()
    power = power / window.sum().square() * 4  # a full-scale tone has power 1
    hertz = torch.linspace(0, SAMPLE_RATE / 2, power.shape[1])

    def band(low: float, high: float) -> Tensor:
        return power[:, (hertz >= low) & (hertz < high)].sum(1) + 1e-12

    voice, whole = band(100, 1000), band(100, 7600)
    level = 10 * torch.log10(voice)
    loud = torch.quantile(level, 0.9).clamp_min(QUIET + RANGE)
    strength = ((level - loud + RANGE) / RANGE).clamp(0, 1.15)
    open_vowel = smooth((band(450, 1000) / voice - 0.1) / 0.5)
    hiss = smooth((band(3500, 7600) / whole - 0.12) / 0.4)
    hum = smooth((band(100, 400) / band(100, 3000) - 0.93) / 0.06)
    opening = strength.pow(1.5) * (0.62 + 0.4 * open_vowel) * (1 - 0.75 * hum)
    present = ((10 * torch.log10(whole) - loud + RANGE) / RANGE).clamp(0, 1)
    opening = torch.maximum(opening * (1 - 0.5 * hiss), 0.14 * hiss * smooth(present * 2.5))
    opening = _follow(opening).clamp(0, 1)

    second = power * ((hertz >= 800) & (hertz < 2800))
    centre = (second * hertz).sum(1) / (second.sum(1) + 1e-12)
    voiced = smooth(strength * 2.5)
    width = ((centre - 1450) / 550).clamp(-1, 1) * voiced
    rounding = smooth((1400 - centre) / 400) * voiced * (1 - hiss) * (1 - 0.6 * open_vowel)
    teeth = (0.35 * smooth(opening * 4) + 0.75 * hiss * smooth(present * 2.5)) * (1 - 0.6 * rounding)
    return MouthTargets(*(_per_frame(value) for value in (opening, width, rounding, teeth.clamp(0, 1))))


def _follow(values: Tensor) -> Tensor:
    """Quick to rise, slow to fall."""
    followed, held = [], 0.0
    for value in values.tolist():
        held += (ATTACK if value > held else RELEASE) * (value - held)
        followed.append(held)
    return torch.tensor(followed)


def _per_frame(values: Tensor) -> Tensor:
    """[hops] -> [f]: each frame's mean, a little of its neighbours in it."""
    means = values.reshape(-1, HOPS).mean(1)
    padded = F.pad(means[None, None], (1, 1), mode="replicate")
    return F.conv1d(padded, torch.tensor([[[0.15, 0.7, 0.15]]]))[0, 0]
