"""Loudness: measured, brought to a level without moving a sample in time, and read back from the finished file."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from pipeline import verify
from pipeline.media.inspect_media import inspect
from pipeline.media.loudness import CEILING, Loudness, levelled, measure
from tests.conftest import render_inline
from tests.support.damage import snapshot
from tests.support.media_sources import decoded, sound

Make = Callable[..., Path]
RATE = 48_000


def tone(seconds: float, level: float, hertz: float = 997) -> np.ndarray:
    """A sine of `level` dBFS, float32 [samples, 1]."""
    time = np.arange(int(RATE * seconds)) / RATE
    return (10 ** (level / 20) * np.sin(2 * np.pi * hertz * time)).astype(np.float32)[:, None]


def cracks(wave: np.ndarray, level: float) -> np.ndarray:
    """The same with a short full burst every half second."""
    wave = wave.copy()
    for start in range(RATE // 4, len(wave) - 100, RATE // 2):
        wave[start : start + 60] = 10 ** (level / 20) * np.sign(np.sin(np.arange(60) * 1.3))[:, None]
    return wave


def parts(wave: np.ndarray) -> list[np.ndarray]:
    cuts = sorted(np.random.default_rng(3).integers(0, len(wave), 4))
    return np.split(wave, cuts)


def test_a_tone_measures_as_the_standard_says() -> None:
    """EBU Tech 3341: a stereo sine of 1 kHz at -23 dBFS is -23 LUFS; in one channel it is 3 LU less."""
    stereo = np.repeat(tone(20, -23), 2, 1)
    assert measure(parts(stereo), 2).loudness == pytest.approx(-23, abs=0.1)
    assert measure(parts(tone(20, -23)), 1) == Loudness(pytest.approx(-26, abs=0.1), pytest.approx(-23, abs=0.1))
    assert measure([], 1) == Loudness(-math.inf, -math.inf)


def test_a_plain_gain_is_exact() -> None:
    wave = tone(3, -40)
    louder = np.concatenate(list(levelled(parts(wave), 1, 20.0, False)))
    assert np.abs(louder - 10 * wave).max() < 1e-6


@pytest.mark.parametrize("channels", [1, 2])
def test_the_limiter_keeps_peaks_down_and_samples_in_place(channels: int) -> None:
    wave = np.repeat(cracks(tone(4.003, -30), -3), channels, 1)
    out = np.concatenate(list(levelled(parts(wave), channels, 12.0, True)))
    assert out.shape == wave.shape
    assert measure([out], channels).peak <= CEILING + 0.1
    assert measure([wave], channels).peak + 12 > CEILING + 5
    calm = np.s_[RATE // 2 - 4000 : RATE // 2 + 4000]  # a quarter of a second after a burst
    assert np.abs(out[calm] - wave[calm] * 10 ** (12 / 20)).max() < 2e-3


def render(manifest: Path, **defaults: Any) -> Path:
    catalog = yaml.safe_load(manifest.read_text())
    catalog["defaults"] |= defaults
    manifest.write_text(yaml.safe_dump(catalog))
    assert render_inline(manifest) == 0
    return manifest.parent / "out" / "talk"


def test_the_finished_file_is_as_loud_as_asked(fake_manifest: Make, tmp_path: Path) -> None:
    wave = cracks(tone(6, -30), -12)
    sound(tmp_path / "a.wav", wave, RATE)
    manifest = fake_manifest([{"id": "talk", "audio": "a.wav"}])
    folder = render(manifest)
    source = decoded(folder / "final.mp4")
    assert measure([source], 1).loudness < -25
    before = {stage: snapshot(folder / stage) for stage in ("chain", "sound")}
    fragments = {name: data for name, data in snapshot(folder / "stream").items() if "done" not in name}

    render(manifest, loudness=-16)
    heard = decoded(folder / "final.mp4")
    facts = inspect(folder / "final.mp4")
    assert (len(heard), facts.frames, facts.faults) == (len(source), 150, ())
    now = measure([heard], 1)
    assert now.loudness == pytest.approx(-16, abs=0.7)
    assert now.peak < CEILING + 3  # the encoder overshoots on such bursts
    told = json.loads((folder / "report.json").read_text())["loudness"]
    assert (told["target"], told["limited"], told["peak_after"] < CEILING + 0.1) == (-16.0, True, True)
    assert told["after"] == pytest.approx(now.loudness, abs=0.3)
    (playlist,) = folder.glob("hls/*/audio.m3u8")
    assert "../../loudness/" in playlist.read_text()
    calm = np.s_[2 * RATE - 6000 : 2 * RATE + 6000, 0]  # in time with the source, to the sample
    lags = [np.dot(heard[calm], np.roll(source, lag, 0)[calm]) for lag in range(-20, 21)]
    assert int(np.argmax(lags)) == 20
    assert verify.run([str(manifest)]) == 0

    render(manifest, loudness="source")
    assert (decoded(folder / "final.mp4") == source).all()
    assert verify.run([str(manifest)]) == 0
    assert {stage: snapshot(folder / stage) for stage in before} == before
    assert {name: data for name, data in snapshot(folder / "stream").items() if "done" not in name} == fragments


def test_silence_stays_silent(fake_manifest: Make, tmp_path: Path) -> None:
    sound(tmp_path / "a.wav", np.zeros((RATE * 2, 1), np.float32), RATE)
    folder = render(fake_manifest([{"id": "talk", "audio": "a.wav"}]), loudness=-16)
    assert np.abs(decoded(folder / "final.mp4")).max() < 1e-3
    assert json.loads((folder / "report.json").read_text())["loudness"]["gain"] == 0


def test_damaged_levelled_sound_is_made_again(fake_manifest: Make, tmp_path: Path) -> None:
    sound(tmp_path / "a.wav", tone(2.5, -30), RATE)
    manifest = fake_manifest([{"id": "talk", "audio": "a.wav"}])
    folder = render(manifest, loudness=-20)
    (track,) = folder.glob("loudness/*/objects/*track.m4a")
    track.write_bytes(b"nothing")
    assert verify.run([str(manifest)]) == 1
    render(manifest, author="Ada")
    assert measure([decoded(folder / "final.mp4")], 1).loudness == pytest.approx(-20, abs=0.7)
    assert verify.run([str(manifest)]) == 0
