"""What a small family hears: spectra of the moment, and averages of those before."""

import pytest
import torch

from models.families.registry import FAMILIES
from models.speech.spectrum import BANDS, FADES, PAST, ROWS, SAMPLES_A_FRAME, heard, log_mel

HALO = FAMILIES["mini"].feature_halo


def test_a_frame_is_four_spectra_and_what_was_before() -> None:
    speech = torch.randn(60 * SAMPLES_A_FRAME, generator=torch.Generator().manual_seed(0)) * 0.1
    found = heard(speech)
    assert found.shape == (60, ROWS, BANDS)
    assert torch.equal(found[:, :4], log_mel(speech))
    networks = FAMILIES["mini"].networks
    assert networks is not None
    assert networks.chain.audio_projection.layers == ROWS


def test_silence_stays_silent() -> None:
    assert torch.allclose(heard(torch.zeros(20 * SAMPLES_A_FRAME)), torch.tensor(-1.0), atol=1e-6)


def test_averages_forget_one_after_the_other() -> None:
    """A burst of noise, then silence."""
    speech = torch.zeros(80 * SAMPLES_A_FRAME)
    speech[: 10 * SAMPLES_A_FRAME] = torch.randn(10 * SAMPLES_A_FRAME, generator=torch.Generator().manual_seed(0)) * 0.1
    levels = heard(speech)[:, 4:].mean(2)
    fast, middle, slow = levels[20]
    assert -1 < fast < middle < slow < levels[9, 2]
    for number, fade in enumerate(FADES):
        left = (levels[40, number] + 1) / (levels[20, number] + 1)
        assert float(left) == pytest.approx(2.718281828 ** (-20 / fade), rel=1e-3)
    assert torch.allclose(levels[PAST + 10 :], torch.tensor(-1.0), atol=1e-6)


def test_a_part_with_its_halo_is_heard_as_in_the_whole() -> None:
    speech = torch.randn(200 * SAMPLES_A_FRAME, generator=torch.Generator().manual_seed(1)) * 0.1
    first, stop = 90, 130
    part = heard(speech[(first - HALO) * SAMPLES_A_FRAME : (stop + HALO) * SAMPLES_A_FRAME])[HALO : HALO + stop - first]
    assert torch.allclose(part, heard(speech)[first:stop], atol=1e-6)
