"""Speech whose sounds are known: lips meet at its p, b and m, whatever it sounds like."""

from __future__ import annotations

import ctypes

import pytest
import torch

from models.data.synthetic_speech import LIBRARY, PARTS, Said, Sound, babble, say
from models.drawn.closures import STEP, faded, spoken_targets
from models.speech.spectrum import SAMPLE_RATE, SAMPLES_A_FRAME


def there() -> bool:
    try:
        ctypes.CDLL(LIBRARY)
    except OSError:
        return False
    return True


needs_espeak = pytest.mark.skipif(not there(), reason="espeak-ng's library is not installed (libespeak-ng1)")


def test_lips_are_together_while_p_b_and_m_last() -> None:
    speech = 0.1 * torch.sin(torch.arange(25 * SAMPLES_A_FRAME) * 0.1)
    said = Said(speech, [Sound("a", 0.0, 0.4), Sound("b", 0.4, 0.52), Sound("aI", 0.52, 0.8), Sound("n", 0.8, 1.0)])
    shut = said.shut(STEP)
    step = STEP / SAMPLE_RATE
    assert shut.nonzero()[:, 0].tolist() == list(range(round(0.4 / step), round((0.52 - PARTS) / step)))
    together = faded(shut)
    assert together[10:13].tolist() == [1.0, 1.0, 1.0]
    assert together[:8].max() == 0
    opening = spoken_targets(speech, shut).opening
    assert opening[10:13].max() == 0
    assert opening[5] > 0.1, "elsewhere the mouth is open"


@needs_espeak
def test_a_sentence_and_where_its_sounds_begin() -> None:
    said = say("Bob and Mary put my map by the pump.", "en")
    names = [one.name for one in said.sounds if one.lips_meet]
    assert "".join(name[0] for name in names) == "bbmpmmpbpmp"
    assert all(one.start < one.end <= len(said.speech) / SAMPLE_RATE + 0.05 for one in said.sounds)
    assert len(said.speech) % SAMPLES_A_FRAME == 0
    with pytest.raises(ValueError, match="none of this name"):
        say("a", "no such voice")


@needs_espeak
def test_the_same_number_babbles_the_same_words() -> None:
    one, other = babble(5, 60), babble(5, 60)
    assert [sound.name for sound in one.sounds[:9]] == [sound.name for sound in other.sounds[:9]]
    assert len(one.speech) == 60 * SAMPLES_A_FRAME
    assert [sound.name for sound in one.sounds] != [sound.name for sound in babble(6, 60).sounds]
