"""What the bytes of a sound file say before anything is decoded: its stated length, and what in it is no sound.

A header's size of 0, ffffffff or 7fffffff is what programs write that do not know the length yet: such a file is read
to its end. Another size is a claim: a file with fewer bytes was cut off. What lies between or behind the frames of a
stream (tags, zeros, text) is left out of what the decoder is given.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

Part = bytes | tuple[int, int]
"""Bytes as they are, or a range [start, stop) of the file."""

BLOCK = 1 << 20


@dataclass(frozen=True)
class ByteLayout:
    """`parts`: what the decoder is given, () for the file as it is. `short`: which stated length the file does not
    hold, in words. `samples`: the stated length in samples a channel, 0 where none is stated. `clocked`: its packets
    carry times. `left_out`: what was left out of it, in words. `empty`: the header says that there is no sound.
    `second`: where another file begins behind this one, 0 where none does. `untrimmed`: its last packet decodes to what
    it holds and no more, and the program would take its padding off once more."""

    parts: tuple[Part, ...] = ()
    short: str = ""
    samples: int = 0
    clocked: bool = False
    left_out: tuple[str, ...] = ()
    empty: bool = False
    second: int = 0
    untrimmed: bool = False


class FileView:
    """A file read here and there, a block at a time."""

    def __init__(self, stream: IO[bytes]):
        self._stream = stream
        self.size = stream.seek(0, io.SEEK_END)
        self._at, self._block = 0, b""

    def at(self, place: int, count: int) -> bytes:
        """Up to `count` bytes from `place` on; fewer at the end of the file."""
        if place >= self.size:
            return b""
        start = place - self._at
        if start < 0 or start + count > len(self._block):
            self._stream.seek(place)
            self._at, self._block, start = place, self._stream.read(max(count, BLOCK)), 0
        return self._block[start : start + count]

    def number(self, place: int, count: int, order: str = "big") -> int:
        return int.from_bytes(self.at(place, count), "little" if order == "little" else "big")


def unknown(stated: int, bits: int = 32) -> bool:
    """Whether a stated size is what is written where none is known: 0, ffffffff, 7fffffff, or a little below."""
    return stated == 0 or any(top - (1 << 16) <= stated <= top + 64 for top in (2**bits - 1, 2 ** (bits - 1) - 1))


def pieces(stream: IO[bytes], parts: tuple[Part, ...]) -> Iterator[bytes]:
    """The bytes that the parts stand for, in blocks."""
    for part in parts:
        if isinstance(part, bytes):
            yield part
            continue
        start, stop = part
        stream.seek(start)
        while start < stop and (block := stream.read(min(BLOCK, stop - start))):
            start += len(block)
            yield block
