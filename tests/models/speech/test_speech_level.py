"""How loud speech is, without its pauses."""

from __future__ import annotations

import numpy as np
import pytest

from models.speech.speech_level import FRAME, LEVEL, gain_for, speech_level


def said(frames: int, loud: float) -> np.ndarray:
    return (np.random.default_rng(0).standard_normal(frames * FRAME) * loud).astype(np.float32)


def test_pauses_do_not_count() -> None:
    alone = speech_level([said(50, 0.1)])
    assert alone == pytest.approx(0.1, rel=0.02)
    assert speech_level([said(50, 0.1), np.zeros(150 * FRAME, np.float32)]) == pytest.approx(alone, rel=0.02)


def test_blocks_do_not_matter() -> None:
    speech = said(60, 0.05)
    assert speech_level([speech]) == pytest.approx(speech_level([speech[: 20 * FRAME], speech[20 * FRAME :]]))


@pytest.mark.parametrize("loud", [0.005, 0.05, 0.5])
def test_every_speaker_is_heard_alike(loud: float) -> None:
    assert speech_level([said(50, loud) * gain_for(speech_level([said(50, loud)]))]) == pytest.approx(LEVEL, rel=1e-3)


def test_noise_is_not_made_loud() -> None:
    assert gain_for(speech_level([said(50, 0.0005)])) == 1.0
    assert gain_for(speech_level([])) == 1.0
