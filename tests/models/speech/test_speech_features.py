"""Audio windows and the speech encoder at small width."""

import pytest
import torch

from models.families.config import SpeechConfig
from models.speech.wav2vec import SpeechFeatures, audio_windows, frame_count, normalise, published_padding

TINY = SpeechConfig(width=16, layers=3, heads=2, feed_forward=16, convolutions=(8,) * 7, positions=4, position_groups=2)


def test_a_part_of_a_title_gives_the_windows_of_the_whole() -> None:
    features = torch.randn(40, 3, 2)
    whole = audio_windows(features, 0, 40, radius=2)
    part = audio_windows(features[6:30], 8, 16, radius=2, start=6, total=40)
    assert torch.equal(part, whole[8:24])
    assert torch.equal(audio_windows(features[30:], 32, 8, radius=2, start=30, total=40), whole[32:])


def test_frames_outside_the_part_are_named() -> None:
    with pytest.raises(ValueError, match=r"frames 4 to 13 .* 6 to 29 were given"):
        audio_windows(torch.zeros(24, 1), 6, 6, radius=2, start=6, total=40)


@torch.no_grad()
def test_one_vector_a_frame_and_layer() -> None:
    network = SpeechFeatures(TINY).eval()
    wave = normalise(torch.randn(16_000, generator=torch.Generator().manual_seed(0)))
    assert abs(wave.mean()) < 1e-5
    assert wave.var(unbiased=False) == pytest.approx(1, abs=1e-3)
    found = network(wave, frame_count(16_000))
    assert found.shape == (25, 3, 16)
    assert torch.equal(found, network(wave, 25))


@pytest.mark.parametrize(
    ("frames", "before", "clip", "silence"), [(13, 0, 16, 3), (16, 5, 16, 0), (13, 3, 16, 16), (32, 0, 16, 0)]
)
def test_published_padding_asks_about_the_cut_and_counts_the_file(
    frames: int, before: int, clip: int, silence: int
) -> None:
    assert published_padding(frames, before, clip) == silence
