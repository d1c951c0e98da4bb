"""What the mouth does to a sound: shut in silence, open on a vowel, teeth on a hiss; and the motion around it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from models.data.speech import Corpus, read_recording
from models.drawn.expressions import EXPRESSIONS, HEAD_POSES, prompt
from models.drawn.motion import Direction, motion
from models.drawn.mouth import MouthTargets, mouth_targets

SPEECH = Path(__file__).parents[3] / "examples" / "speech.flac"
RATE, FRAME = 16_000, 640


def tone(seconds: float, formants: tuple[tuple[float, float], ...]) -> Tensor:
    """Harmonics of 120 Hz under formants (centre, loudness)."""
    time = torch.arange(int(seconds * RATE)) / RATE
    wave = torch.zeros_like(time)
    for number in range(1, 60):
        hertz = 120.0 * number
        gain = sum(loud * math.exp(-(((hertz - centre) / 130) ** 2)) for centre, loud in formants)
        wave += gain * torch.sin(2 * math.pi * hertz * time + number)
    return 0.2 * wave / wave.abs().amax()


def spoken() -> MouthTargets:
    wave = read_recording(SPEECH)
    return mouth_targets(wave[: len(wave) // FRAME * FRAME])


def test_silence_and_faint_noise_keep_the_mouth_shut() -> None:
    noise = 1e-4 * torch.randn(50 * FRAME, generator=torch.Generator().manual_seed(0))
    for wave in (torch.zeros(50 * FRAME), noise):
        targets = mouth_targets(wave)
        assert targets.opening.amax() < 0.02
        assert targets.teeth.amax() < 0.02


def test_a_loud_vowel_opens_the_mouth_and_a_pause_closes_it() -> None:
    wave = torch.cat([tone(1, ((750, 1.0), (1250, 0.6))), torch.zeros(RATE)])
    opening = mouth_targets(wave).opening
    assert opening[5:24].amin() > 0.6
    assert opening[32:].amax() < 0.05


def test_vowels_differ_in_width_and_rounding() -> None:
    wide, rounded = (
        mouth_targets(tone(1, formants)) for formants in (((350, 1.0), (2100, 0.6)), ((380, 1.0), (900, 0.6)))
    )
    assert wide.width[5:20].mean() > rounded.width[5:20].mean() + 0.8
    assert rounded.rounding[5:20].mean() > wide.rounding[5:20].mean() + 0.5


def test_a_hiss_shows_teeth_and_a_hum_closes_the_lips() -> None:
    vowel = tone(0.8, ((750, 1.0), (1250, 0.6)))
    hiss = 0.05 * torch.randn(12800, generator=torch.Generator().manual_seed(1))
    hiss = hiss - torch.nn.functional.avg_pool1d(hiss[None, None], 5, 1, 2)[0, 0]
    hum = tone(0.8, ((180, 1.0),)) * 0.6
    targets = mouth_targets(torch.cat([vowel, hiss, hum]))
    assert targets.teeth[24:38].mean() > targets.teeth[4:16].mean() + 0.2
    assert targets.opening[24:38].amax() < 0.4
    assert targets.opening[50:58].amax() < 0.4 * targets.opening[4:16].amax()


def test_gain_does_not_matter() -> None:
    wave = read_recording(SPEECH)
    wave = wave[: len(wave) // FRAME * FRAME]
    assert torch.allclose(mouth_targets(wave).opening, mouth_targets(wave * 0.5).opening, atol=0.02)


def test_real_speech_gives_a_lively_curve() -> None:
    opening = spoken().opening
    assert len(opening) == 208
    assert 0.15 < opening.mean() < 0.6
    assert opening.std() > 0.15
    assert opening.amax() > 0.8
    crossings = ((opening[1:] > opening.mean()) != (opening[:-1] > opening.mean())).sum()
    assert 15 < crossings < 100  # two to six syllables a second


def test_motion_follows_its_seed_and_its_sound() -> None:
    mouth = spoken()
    first, again, other = motion(3, mouth), motion(3, mouth), motion(4, mouth)
    assert torch.equal(first.yaw, again.yaw)
    assert not torch.equal(first.yaw, other.yaw)
    assert torch.equal(first.opening, mouth.opening)
    assert (first.yaw[1:] - first.yaw[:-1]).abs().amax() < 0.06


def test_blinks_come_as_often_as_they_should() -> None:
    still = MouthTargets(*(torch.zeros(25 * 240) for _ in range(4)))
    blink = motion(1, still).blink
    starts = ((blink[1:] > 0) & (blink[:-1] == 0)).sum()
    assert 40 <= starts <= 80  # 60 are expected in four minutes
    assert blink.amax() == 1


def test_a_composed_speaker_moves_with_the_sound_alone() -> None:
    """The head stays where a seed has it but for what the sound does, and comes back; lids close at pauses."""
    mouth = spoken()
    here, there = motion(3, mouth, composed=True), motion(4, mouth, composed=True)
    torch.testing.assert_close(here.yaw - here.yaw[0], there.yaw - there.yaw[0])
    assert torch.equal(here.blink, there.blink)
    assert here.yaw.std() > 0.01
    silent = motion(3, MouthTargets(*(torch.zeros(200) for _ in range(4))), composed=True)
    assert silent.yaw.std() < 1e-6
    assert silent.blink.amax() == 0
    opening = torch.cat([torch.full((40,), 0.6), torch.zeros(40)]).repeat(5)
    blink = motion(3, MouthTargets(opening, *(torch.zeros(400) for _ in range(3))), composed=True).blink
    assert ((blink[1:] > 0) & (blink[:-1] == 0)).nonzero().flatten().tolist() == [42, 122, 202, 282, 362]


def test_directions_change_the_face_within_two_seconds() -> None:
    still = MouthTargets(*(torch.zeros(200) for _ in range(4)))
    poses = motion(2, still, (Direction(0, "neutral"), Direction(100, "surprise", head_pose="left")))
    assert poses.brow[:100].mean() < 0.2
    assert poses.brow[150:].mean() > 0.7
    assert poses.yaw[150:].mean() < poses.yaw[:100].mean() - 0.1
    with pytest.raises(ValueError, match="frame 0"):
        motion(2, still, (Direction(5),))


def test_prompts_keep_words_for_the_test() -> None:
    assert len(EXPRESSIONS) == 8
    for expression in EXPRESSIONS:
        trained = {prompt(seed, expression) for seed in range(200)}
        kept = {prompt(seed, expression, held_out=True) for seed in range(200)}
        assert len(trained) > 10
        assert not trained & kept
    assert all(prompt(0, None, name) for name in HEAD_POSES)


def test_a_corpus_keeps_its_speakers_apart(tmp_path: Path) -> None:
    for name in ("anna", "ben"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "one.flac").write_bytes(SPEECH.read_bytes())
    corpus = Corpus(tmp_path, held_out=("ben",))
    assert corpus.speakers() == ["anna"]
    assert corpus.speakers(held_out=True) == ["ben"]
    wave = corpus.stretch(1, 300)
    assert wave.shape == (300 * FRAME,)
    assert torch.equal(wave, corpus.stretch(1, 300))
    assert not torch.equal(wave, corpus.stretch(2, 300))
    with pytest.raises(ValueError, match="carl"):
        Corpus(tmp_path, held_out=("carl",))
    with pytest.raises(FileNotFoundError, match="speech_data"):
        Corpus(tmp_path / "anna")
