"""When lips meet: at p and b, whose silence is followed by a burst without hiss, and at m, a hum through the nose.

Loudness alone does not tell: lips that follow it close slowly, and never quite, within a word. What is told from the
sound here is not always right: t, d, k and g are silences too, kept apart by their burst; n is a hum too, kept apart by
what it lets through.
"""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from models.drawn.mouth import MouthTargets, mouth_targets
from models.drawn.shapes import smooth
from models.speech.spectrum import SAMPLE_RATE, SAMPLES_A_FRAME

STEP, WINDOW = 80, 240  # samples: 5 ms, 15 ms
STEPS_A_FRAME = SAMPLES_A_FRAME // STEP
SHORTEST, LONGEST = 4, 30  # steps that a closure lasts: 20 to 150 ms
DEEP = 12.0  # decibels that a closure lies below the speech on both of its sides
AROUND = 18  # steps on both sides in which that speech must be
BURST = (-4, 5)  # steps around a closure's end in which its burst is looked at
HISS = 8.0  # decibels by which a burst's highs (2.5 kHz on) exceed its lows (to 450 Hz) from which it is no p or b
CLEAR = 8.0  # decibels by which a burst is louder than what is heard while lips are shut
# A hum: its lows are nearly all of it, its highs next to nothing, and above 300 Hz it is softer than the vowels beside
# it; that of an m holds more below 1.2 kHz than above. Decibels.
HUM_LOWS, HUM_HIGHS, HUM_MIDDLE, HUM_SLOPE, HUM_SOFT = -2.6, -18.0, -19.0, 0.0, 7.0
LEAST_HUM = 7  # steps
SHUTTING = 0.03  # seconds that lips take to shut and to part


def spoken_targets(speech: Tensor, shut: Tensor | None = None) -> MouthTargets:
    """speech [s] at 16 kHz, whole frames -> `mouth_targets`, its lips together where p, b and m are said: as heard, or
    in the steps `shut` [s / 80], where these are known."""
    held = mouth_targets(speech)
    together = lips_together(speech) if shut is None else faded(shut)
    apart = 1 - together
    return replace(
        held, opening=held.opening * apart, teeth=held.teeth * apart, rounding=held.rounding * (1 - 0.5 * together)
    )  # fmt: skip


def lips_together(speech: Tensor) -> Tensor:
    """speech [s] at 16 kHz, whole frames -> how far lips are together in every video frame [f]: 1 where they meet."""
    if len(speech) % SAMPLES_A_FRAME or len(speech) == 0:
        raise ValueError(f"speech has {len(speech)} samples: expected whole frames of {SAMPLES_A_FRAME}, at least one")
    return faded(closed_steps(speech))


def faded(shut: Tensor) -> Tensor:
    """Steps in which lips are together -> how far they are in every video frame: they take time to shut and to part."""
    reach = int(SHUTTING * SAMPLE_RATE / STEP)
    away = torch.full((len(shut),), float(4 * reach))
    for way in (range(len(shut)), range(len(shut) - 1, -1, -1)):
        since = 4.0 * reach
        for place in way:
            since = 0.0 if shut[place] else since + 1
            away[place] = min(float(away[place]), since)
    fading = smooth(1 - away / reach)
    # A frame that holds any of a closure shows it: what lasts two frames is never between two of them.
    return F.max_pool1d(fading[None, None], STEPS_A_FRAME, STEPS_A_FRAME)[0, 0]


def closed_steps(speech: Tensor) -> Tensor:
    """Steps of 5 ms in which lips are together [steps], true or false."""
    side = (WINDOW - STEP) // 2
    window = torch.hann_window(WINDOW, periodic=False)
    power = torch.fft.rfft(F.pad(speech, (side, side)).unfold(0, WINDOW, STEP) * window).abs().square()
    hertz = torch.linspace(0, SAMPLE_RATE / 2, power.shape[1])

    def band(low: float, high: float) -> Tensor:
        return 10 * torch.log10(power[:, (hertz >= low) & (hertz < high)].sum(1) + 1e-10)

    level, whole, lows, highs = band(300, 5000), band(80, 7600), band(80, 450), band(2500, 7600)
    shut = torch.zeros(len(level), dtype=torch.bool)
    for start, end in _runs(_dips(level)):
        around = slice(max(end + BURST[0], 0), end + BURST[1])
        heard = highs[around] > highs[start:end].median() + CLEAR
        hiss = float(torch.where(heard, (highs - lows)[around], -99.0).max())
        if SHORTEST <= end - start <= LONGEST and hiss < HISS:
            shut[start:end] = True
    below, above = band(700, 1200), band(1200, 2400)
    hum = (lows - whole > HUM_LOWS) & (highs - lows < HUM_HIGHS) & (below - lows > HUM_MIDDLE)
    hum = hum & (below - above > HUM_SLOPE) & (whole > torch.quantile(whole, 0.9) - 20)
    hum = hum & (level < _most(level, AROUND) - HUM_SOFT)
    for start, end in _runs(hum):
        if end - start >= LEAST_HUM:
            shut[start:end] = True
    return shut


def _most(level: Tensor, reach: int) -> Tensor:
    """The most within so many steps before, or within so many after, whichever is less [steps]."""
    before = F.max_pool1d(F.pad(level[None, None], (reach, 0), value=-200.0), reach + 1, 1)[0, 0]
    after = F.max_pool1d(F.pad(level[None, None], (0, reach), value=-200.0), reach + 1, 1)[0, 0]
    return torch.minimum(before, after)


def _dips(level: Tensor) -> Tensor:
    """Steps that lie `DEEP` below speech shortly before and shortly after."""
    both, speech = _most(level, AROUND), torch.quantile(level, 0.9) - 16
    return (level < both - DEEP) & (both > speech)


def _runs(flags: Tensor) -> list[tuple[int, int]]:
    """Where flags are set without a break: from, and up to."""
    edges = torch.diff(F.pad(flags.int(), (1, 1)))
    starts, ends = (edges == 1).nonzero()[:, 0].tolist(), (edges == -1).nonzero()[:, 0].tolist()
    return list(zip(starts, ends, strict=True))
