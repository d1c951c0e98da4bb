"""Media made for tests: clicks and noise in any format, with the very program that reads them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np

from pipeline.media import ffmpeg


def program(*arguments: object, given: bytes = b"") -> bytes:
    """Runs ffmpeg and returns its standard output."""
    command = [ffmpeg.binary(), "-hide_banner", "-v", "error", "-y", *map(str, arguments)]
    return subprocess.run(command, input=given, capture_output=True, check=True).stdout


def noise(samples: int, channels: int = 1, seed: int = 0) -> np.ndarray:
    """Low noise, float32 [samples, channels]."""
    return np.random.default_rng(seed).uniform(-0.01, 0.01, (samples, channels)).astype(np.float32)


def clicks(samples: int, places: list[int], channels: int = 1, width: int = 1) -> np.ndarray:
    """Silence with loud clicks, float32 [samples, channels]."""
    wave = np.zeros((samples, channels), np.float32)
    for place in places:
        wave[place : place + width] = 0.9
    return wave


def sound(path: Path, wave: np.ndarray, rate: int, *options: object) -> Path:
    """Writes float32 [samples, channels] as whatever the file's name says."""
    raw = np.ascontiguousarray(wave, "<f4").tobytes()
    program(
        "-f", "f32le", "-ar", rate, "-ac", wave.shape[1], "-i", "pipe:0", *options, f"file:{path}", given=raw
    )  # fmt: skip
    return path


def decoded(path: Path, channels: int = 1, rate: int = 48_000) -> np.ndarray:
    """Sound of a file through the ffmpeg program, float32 [samples, channels]."""
    raw = program("-i", f"file:{path}", "-map", "0:a:0", "-ac", channels, "-ar", rate, "-f", "f32le", "pipe:1")
    return np.frombuffer(raw, "<f4").reshape(-1, channels)


def peaks(wave: np.ndarray, at_least: float = 0.3) -> list[int]:
    """Places of the local maxima of clicks, at least 1000 samples apart."""
    loud = np.flatnonzero(np.abs(wave) >= at_least)
    groups = np.split(loud, np.flatnonzero(np.diff(loud) > 1000) + 1) if len(loud) else []
    return [int(group[np.argmax(np.abs(wave[group]))]) for group in groups]
