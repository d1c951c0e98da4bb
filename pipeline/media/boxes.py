"""Boxes of ISO media files (ISO/IEC 14496-12): walking them, joining fragments into a stream, naming a codec."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO


@dataclass(frozen=True)
class Box:
    """Bytes [offset, offset + size) of a file or of a buffer; the payload begins at `offset + header`."""

    kind: str
    offset: int
    size: int
    header: int


def top_boxes(stream: BinaryIO) -> Iterator[Box]:
    """Top-level boxes of a seekable stream, one header read each. Raises ValueError where the boxes do not add up."""
    end = stream.seek(0, io.SEEK_END)
    offset = 0
    while offset < end:
        stream.seek(offset)
        head = stream.read(16)
        size, header = int.from_bytes(head[:4], "big"), 8
        if size == 1:
            size, header = int.from_bytes(head[8:16], "big"), 16
        elif size == 0:
            size = end - offset
        if len(head) < 8 or size < header or offset + size > end:
            raise ValueError(f"a box at byte {offset} claims {size} bytes, {end - offset} are left")
        yield Box(head[4:8].decode("latin-1"), offset, size, header)
        offset += size


def boxes(data: bytes) -> list[Box]:
    """Boxes that fill a buffer."""
    return list(top_boxes(io.BytesIO(data)))


def payload(data: bytes, *path: str) -> bytes:
    """Payload of the first box at a path of kinds, e.g. ("moof", "traf", "tfdt"). Raises KeyError."""
    for kind in path:
        for box in boxes(data):
            if box.kind == kind:
                data = data[box.offset + box.header : box.offset + box.size]
                break
        else:
            raise KeyError("/".join(path))
    return data


def place_of(data: bytes, *path: str) -> tuple[int, int]:
    """[start, stop) of the payload of the first box at a path of kinds, in the buffer. Raises KeyError."""
    start, stop = 0, len(data)
    for kind in path:
        for box in boxes(data[start:stop]):
            if box.kind == kind:
                start, stop = start + box.offset + box.header, start + box.offset + box.size
                break
        else:
            raise KeyError("/".join(path))
    return start, stop


def uuid_box(name: bytes, content: bytes) -> bytes:
    """A box of a vendor: `name` is its 16 byte identity."""
    return (24 + len(content)).to_bytes(4, "big") + b"uuid" + name + content


class Joined(io.RawIOBase):
    """Chunks as one readable stream that cannot seek; holds one chunk at a time."""

    def __init__(self, chunks: Iterable[bytes]):
        self._chunks = iter(chunks)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def _sample_entry(init: bytes) -> tuple[str, bytes]:
    stsd = payload(init, "moov", "trak", "mdia", "minf", "stbl", "stsd")[8:]
    entry = boxes(stsd)[0]
    return entry.kind, stsd[entry.offset + entry.header : entry.offset + entry.size]


_VISUAL_ENTRY = 78  # bytes of a visual sample entry before its boxes


def codec_string(init: bytes) -> str:
    """The codec as RFC 6381 names it, e.g. avc1.640028, read from the decoder configuration of a video init segment."""
    kind, entry = _sample_entry(init)
    inner = entry[_VISUAL_ENTRY:]
    if kind == "avc1":
        return "avc1." + payload(inner, "avcC")[1:4].hex().upper()
    if kind == "hvc1":
        return "hvc1." + _hevc(payload(inner, "hvcC"))
    if kind == "av01":
        return "av01." + _av1(payload(inner, "av1C"))
    raise ValueError(f"no codec string is known for sample entry {kind!r}")


def _hevc(config: bytes) -> str:
    profile = config[1]
    space = ("", "A", "B", "C")[profile >> 6]
    compatible = int(f"{int.from_bytes(config[2:6], 'big'):032b}"[::-1], 2)
    constraints = config[6:12].rstrip(b"\0")
    parts = [f"{space}{profile & 31}", f"{compatible:X}", f"{'H' if profile & 32 else 'L'}{config[12]}"]
    return ".".join(parts + [f"{byte:X}" for byte in constraints])


def _av1(config: bytes) -> str:
    profile, level = config[1] >> 5, config[1] & 31
    tier, high, twelve = config[2] >> 7, config[2] >> 6 & 1, config[2] >> 5 & 1
    return f"{profile}.{level:02d}{'H' if tier else 'M'}.{(12 if twelve else 10) if high else 8:02d}"
