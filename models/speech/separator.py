"""Voice out of music: a network of the MDX kind (Kuielab, arXiv 2111.12203) on spectra, chunk by chunk.

The published pipeline separates with `Kim_Vocal_2.onnx` before speech becomes features. Its sizes are in
`mdx_model_data.json`, under the network's own hash. Sound streams through: memory holds two chunks.

Shapes: s samples, 2 channels, 4 = real and imaginary parts of both, k bins, t hops.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

RATE = 44_100
HOP = 1024
OVERLAP = 0.25  # of a chunk, with the next
CLEARED = 3  # lowest bins, which such networks were trained without
HASHED = 10_000 * 1024  # bytes at the end of a file that its key in the table is the MD5 of


class SeparatorProblem(ValueError):
    """Separating was asked for and cannot be done with these weights."""


@dataclass(frozen=True)
class Sizes:
    """Of one network."""

    fft: int
    bins: int
    hops: int
    gain: float
    """What its output is multiplied by."""

    @property
    def chunk(self) -> int:
        """Samples that go through the network at once."""
        return HOP * (self.hops - 1)


def sizes_of(network: Path, table: Path) -> Sizes:
    """Sizes of a network by the table. Raises SeparatorProblem where it is not listed, or gives no voices."""
    data = network.read_bytes()
    key = hashlib.md5(data[-HASHED:], usedforsecurity=False).hexdigest()
    try:
        entry = json.loads(table.read_text())[key]
        sizes = Sizes(
            int(entry["mdx_n_fft_scale_set"]),
            int(entry["mdx_dim_f_set"]),
            2 ** int(entry["mdx_dim_t_set"]),
            float(entry["compensate"]),
        )
        stem = entry["primary_stem"]
    except (KeyError, TypeError, ValueError) as error:
        raise SeparatorProblem(
            f"{table.name} does not tell the sizes of {network.name} ({key}): use both files of the published folder"
        ) from error
    if stem != "Vocals":
        raise SeparatorProblem(f"{network.name} gives {stem!r}, expected a network that gives 'Vocals'")
    return sizes


class Separator:
    """`session`: an onnxruntime session of the network."""

    def __init__(self, session: Any, sizes: Sizes) -> None:
        self.session, self.sizes = session, sizes
        self._input = session.get_inputs()[0].name
        self._window = torch.hann_window(sizes.fft, periodic=True)

    def __call__(self, blocks: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        """Blocks [s, 2] at 44.1 kHz of any lengths -> the voices in them, as many samples in all."""
        chunk, edge = self.sizes.chunk, self.sizes.fft // 2
        step = round(chunk * (1 - OVERLAP))
        shape = np.hanning(chunk + 2)[1:-1].astype(np.float32)
        held = np.zeros((2, edge), np.float32)  # silence before the first sample: chunks are least sure at their ends
        total, weight = np.zeros((2, chunk), np.float32), np.zeros(chunk, np.float32)
        given, skip, ended = 0, edge, False
        source = iter(blocks)
        received = 0
        while not ended or given < received:
            while held.shape[1] < chunk and not ended:
                block = next(source, None)
                if block is None:
                    ended = True
                else:
                    received += len(block)
                    held = np.concatenate([held, block.T], axis=1)
            now = np.pad(held[:, :chunk], ((0, 0), (0, max(chunk - held.shape[1], 0))))
            total += self.voices(now) * shape
            weight += shape
            ready = total[:, :step] / np.maximum(weight[:step], 1e-6)
            ready, skip = ready[:, skip:], max(skip - step, 0)
            ready = ready[:, : received - given] if ended else ready
            given += ready.shape[1]
            yield np.ascontiguousarray(ready.T)
            total = np.pad(total[:, step:], ((0, 0), (0, step)))
            weight = np.pad(weight[step:], (0, step))
            held = held[:, step:]

    def voices(self, chunk: NDArray[np.float32]) -> NDArray[np.float32]:
        """[2, chunk] -> [2, chunk]."""
        sizes, window = self.sizes, self._window
        spectrum = torch.stft(
            torch.from_numpy(np.ascontiguousarray(chunk)),
            sizes.fft,
            HOP,
            window=window,
            center=True,
            return_complex=True,
        )
        parts = torch.view_as_real(spectrum).permute(0, 3, 1, 2).reshape(1, 4, -1, spectrum.shape[-1])
        parts = parts[:, :, : sizes.bins].clone()
        parts[:, :, :CLEARED] = 0
        found = torch.from_numpy(self.session.run(None, {self._input: parts.numpy()})[0])
        return _wave(found, spectrum.shape[1], sizes, window, chunk.shape[1]).numpy() * np.float32(sizes.gain)


def _wave(parts: Tensor, bins: int, sizes: Sizes, window: Tensor, length: int) -> Tensor:
    """Spectra [1 4 k t] -> [2 s]."""
    whole = torch.nn.functional.pad(parts, (0, 0, 0, bins - parts.shape[2]))
    complex_parts = torch.view_as_complex(whole.reshape(2, 2, bins, -1).permute(0, 2, 3, 1).contiguous())
    return torch.istft(complex_parts, sizes.fft, HOP, window=window, center=True, length=length)
