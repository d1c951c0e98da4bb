"""Planes in another size, with the same bits on every processor."""

from __future__ import annotations

import av
import av.filter
import numpy as np

_EXACT = "lanczos+accurate_rnd+bitexact+full_chroma_int+full_chroma_inp"


class Scaler:
    """Resizes yuv420p pictures from one (width, height) to another, both even."""

    def __init__(self, source: tuple[int, int], target: tuple[int, int]):
        self._source, self._target = source, target
        self._graph = graph = av.filter.Graph()
        width, height = source
        first = graph.add(
            "buffer", f"video_size={width}x{height}:pix_fmt=yuv420p:time_base=1/25:pixel_aspect=1/1:frame_rate=25"
        )
        scale = graph.add("scale", f"{target[0]}:{target[1]}:flags={_EXACT}")
        last = graph.add("buffersink")
        first.link_to(scale)
        scale.link_to(last)
        graph.configure()
        self._count = 0

    def __call__(self, planes: np.ndarray) -> np.ndarray:
        """uint8 [height·3/2, width] → the same of the target size."""
        width, height = self._source
        shape = (height * 3 // 2, width)
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(planes).reshape(shape), format="yuv420p")
        frame.pts = self._count
        self._count += 1
        self._graph.push(frame)
        found = self._graph.pull()
        assert isinstance(found, av.VideoFrame)
        return found.to_ndarray(format="yuv420p")
