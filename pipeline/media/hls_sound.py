"""The sound of HLS: packets of the encoded track as CMAF fragments, one for every GOP."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import av

from pipeline.core.errors import LongtakeError
from pipeline.core.timeline import AAC_PACKET, GOP, SOUND_PER_FRAME, SOUND_RATE, gops_of, packets_of
from pipeline.media.boxes import top_boxes

_PACKETS_A_SIGN = 10_000  # copied between two signs of life: a tenth of a second


@dataclass(frozen=True)
class SoundFragments:
    """Bytes [0, init_bytes) of the file are its header; GOP g lies at `ranges[g]` = (offset, size)."""

    init_bytes: int
    ranges: tuple[tuple[int, int], ...]


def write_fragments(track: Path, target: Path, frames: int, alive: Callable[[], None] = lambda: None) -> SoundFragments:
    """Copies the packets of GOP g into fragment g, at decode time 92160·g of 48,000 a second.

    The first packet of the track is the encoder's priming and stays out: fragmented files keep no edit list, so it
    would delay the sound by 21 ms. Raises LongtakeError if the track does not have one packet for every 1024 samples.
    """
    options = {
        # one fragment is 90 packets, cut by duration; no index at either end, playlists have the places
        "movflags": "cmaf+empty_moov+default_base_moof+skip_sidx+skip_trailer",
        "frag_duration": str(GOP * SOUND_PER_FRAME * 1_000_000 // SOUND_RATE),
        "fflags": "+bitexact",
    }
    count = -1
    with av.open(str(track)) as source, av.open(str(target), "w", format="mp4", options=options) as out:
        stream = source.streams.audio[0]
        copy = out.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.size == 0:
                continue
            if count >= 0:
                packet.pts = packet.dts = count * AAC_PACKET
                packet.duration = AAC_PACKET
                packet.stream = copy
                out.mux(packet)
            count += 1
            if count % _PACKETS_A_SIGN == 0:
                alive()
    if count != packets_of(frames):
        raise LongtakeError(
            f"{track.name}: the encoder made {count} packets and a priming one for {frames} frames, "
            f"{packets_of(frames)} were expected; this ffmpeg cannot be used, set LONGTAKE_FFMPEG to another"
        )
    with target.open("rb") as written:
        found = list(top_boxes(written))
    first = next(box.offset for box in found if box.kind == "moof")
    starts = [box.offset for box in found if box.kind == "moof"] + [found[-1].offset + found[-1].size]
    assert len(starts) - 1 == gops_of(frames), f"{len(starts) - 1} fragments for {gops_of(frames)} GOPs"
    return SoundFragments(first, tuple((a, b - a) for a, b in pairwise(starts)))
