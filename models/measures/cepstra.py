"""Mel-frequency cepstra as SyncNet was trained with: 13 numbers, 100 times a second, in 16-bit units.

Windows of 25 ms, 512 points, 26 triangular filters, pre-emphasis 0.97, liftered by 22, the first number the log energy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RATE, HOP, WINDOW, POINTS, FILTERS, KEPT, LIFTER = 16_000, 160, 400, 512, 26, 13, 22


def cepstra(wave: NDArray[np.float32]) -> NDArray[np.float32]:
    """[s] at 16 kHz, -1..1 -> [hops 13]."""
    sound = np.asarray(wave, np.float64) * 32768
    sound = np.concatenate([sound[:1], sound[1:] - 0.97 * sound[:-1]])
    hops = max(1, 1 + -(-(len(sound) - WINDOW) // HOP))
    sound = np.pad(sound, (0, max(0, (hops - 1) * HOP + WINDOW - len(sound))))
    frames = np.lib.stride_tricks.sliding_window_view(sound, WINDOW)[::HOP][:hops]
    power = np.square(np.abs(np.fft.rfft(frames, POINTS))) / POINTS
    energy = np.log(np.maximum(power.sum(1), np.finfo(float).eps))
    bands = np.log(np.maximum(power @ _filters().T, np.finfo(float).eps))
    place = np.arange(FILTERS)
    cosines = np.cos(np.pi * np.arange(KEPT)[:, None] * (2 * place + 1) / (2 * FILTERS)) * np.sqrt(2 / FILTERS)
    found = (bands @ cosines.T) * (1 + LIFTER / 2 * np.sin(np.pi * np.arange(KEPT) / LIFTER))
    found[:, 0] = energy
    return found.astype(np.float32)


def _filters() -> NDArray[np.float64]:
    """[26 257] triangles, evenly spaced in mel."""
    top = 2595 * np.log10(1 + RATE / 2 / 700)
    hertz = 700 * (10 ** (np.linspace(0, top, FILTERS + 2) / 2595) - 1)
    edges = np.floor((POINTS + 1) * hertz / RATE)
    bins = np.arange(POINTS // 2 + 1)
    low, peak, high = (edges[at : at + FILTERS, None] for at in range(3))
    rising, falling = (bins - low) / np.maximum(peak - low, 1), (high - bins) / np.maximum(high - peak, 1)
    return np.where((bins >= low) & (bins < peak), rising, np.where((bins >= peak) & (bins < high), falling, 0.0))
