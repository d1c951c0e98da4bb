"""The window grid of the temporal restorer: which frames a window reads, and which it owns.

Window k reads [12k-4, 12k+12) and owns [12k, 12k+12). Window 0 reads [0, 16). The last window slides left to stay 16
long; a title shorter than 16 frames repeats its last frame. A GOP is four strides, so its windows never need frames to
its right: it can be upscaled as soon as its own latents and the halo to the left are there.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.core.timeline import GOP, gop_range

LENGTH = 16
STRIDE = 12
OVERLAP = LENGTH - STRIDE


@dataclass(frozen=True)
class Window:
    """`reads` are the absolute frame numbers of the 16 places; frames [first, stop) are taken from the result."""

    index: int
    reads: tuple[int, ...]
    first: int
    stop: int

    @property
    def owned_places(self) -> range:
        """Places of the owned frames inside the window."""
        start = self.reads.index(self.first)
        return range(start, start + self.stop - self.first)


def window(index: int, frames: int) -> Window:
    """Window `index` of a title of `frames` frames."""
    first, stop = STRIDE * index, min(STRIDE * (index + 1), frames)
    if not 0 <= first < frames:
        raise ValueError(f"window {index} lies outside a title of {frames} frames")
    start = max(0, min(first - OVERLAP, frames - LENGTH))
    reads = tuple(min(start + place, frames - 1) for place in range(LENGTH))
    return Window(index, reads, first, stop)


def gop_windows(gop: int, frames: int) -> list[Window]:
    """The windows that own the frames of a GOP."""
    first, stop = gop_range(gop, frames)
    return [window(k, frames) for k in range(first // STRIDE, -(-stop // STRIDE))]


def gop_reads(gop: int, frames: int) -> tuple[int, int]:
    """[first, stop) of all frames that a GOP's windows read: its own and at most 15 to the left."""
    reads = [frame for w in gop_windows(gop, frames) for frame in (w.reads[0], w.reads[-1])]
    return min(reads), max(reads) + 1


assert GOP % STRIDE == 0, "GOPs must cut the window grid"
