"""Lips meet at a silence with a soft burst and at a hum, and nowhere else: sounds made for it."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from models.drawn.closures import STEPS_A_FRAME, closed_steps, lips_together, spoken_targets
from models.drawn.mouth import mouth_targets

RATE, FRAME = 16_000, 640


def voice(seconds: float, formants: tuple[tuple[float, float], ...], loud: float = 0.2) -> Tensor:
    """Harmonics of 120 Hz under formants (centre, loudness)."""
    time = torch.arange(round(seconds * RATE)) / RATE
    wave = torch.zeros_like(time)
    for number in range(1, 60):
        hertz = 120.0 * number
        gain = sum(much * math.exp(-(((hertz - centre) / 130) ** 2)) for centre, much in formants)
        wave += gain * torch.sin(2 * math.pi * hertz * time + number)
    return loud * wave / wave.abs().amax()


def vowel(seconds: float = 0.2) -> Tensor:
    return voice(seconds, ((200, 0.8), (700, 1.0), (1250, 0.6), (2500, 0.25)))


def hiss(seconds: float, loud: float = 0.06) -> Tensor:
    noise = torch.randn(round(seconds * RATE), generator=torch.Generator().manual_seed(1)) * loud
    return torch.cat([noise[:1], noise[1:] - noise[:-1]])


def said(*parts: Tensor) -> Tensor:
    wave = torch.cat([vowel(), *parts, vowel()])
    wave = torch.cat([wave, torch.zeros(-len(wave) % FRAME)])
    return wave + 2e-4 * torch.randn(len(wave), generator=torch.Generator().manual_seed(2))


SILENCE = torch.zeros(round(0.08 * RATE))
PUFF = voice(0.012, ((200, 1.0), (500, 0.4)), 0.1)
HUM = voice(0.1, ((240, 1.0), (900, 0.16)), 0.07)


@pytest.mark.parametrize("between", [(SILENCE,), (SILENCE, PUFF), (HUM,)], ids=["b", "p", "m"])
def test_lips_meet_between_two_vowels(between: tuple[Tensor, ...]) -> None:
    wave = said(*between)
    together = lips_together(wave)
    middle = int((0.2 + 0.04) * 25)
    assert together[middle] == 1
    assert together[1] < 0.2
    assert together[-2] < 0.2
    held = spoken_targets(wave)
    assert held.opening[middle] < 0.02
    assert held.opening[2] > 0.4
    assert mouth_targets(wave).opening[middle] > 0.05  # what loudness alone gives


def test_they_do_not_meet_at_t_nor_s_nor_in_a_vowel() -> None:
    for between in ((SILENCE, hiss(0.02)), (hiss(0.1),), ()):
        wave = said(*between)
        assert not closed_steps(wave)[: round(0.45 * 200)].any()


def test_what_is_said_softly_and_loudly_is_the_same() -> None:
    wave = said(SILENCE, PUFF)
    assert (closed_steps(wave) == closed_steps(wave * 0.4)).float().mean() > 0.98
    assert len(lips_together(wave)) * STEPS_A_FRAME == len(closed_steps(wave))
    with pytest.raises(ValueError, match="expected whole frames of 640"):
        lips_together(wave[:-1])


def test_silence_is_no_closure() -> None:
    """Nobody speaks on both sides: that lips are shut then is loudness' to say."""
    wave = torch.cat([torch.zeros(RATE), vowel(0.4), torch.zeros(RATE)])
    wave = wave[: len(wave) // FRAME * FRAME]
    assert not closed_steps(wave + 2e-4 * torch.randn(len(wave), generator=torch.Generator().manual_seed(0))).any()
