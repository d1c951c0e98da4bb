"""Containers whose headers state a length: WAV, RF64, Wave64, AIFF, CAF, AU, Matroska, MP4, ASF, AVI."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from pipeline.media.sound_in.byte_layout import ByteLayout, FileView, Part, unknown
from pipeline.media.sound_in.second import begins_at, like_the_first

MOST_CHUNKS = 10_000
_W64 = {
    "riff": bytes.fromhex("726966662e91cf11a5d628db04c10000"),
    "fmt ": bytes.fromhex("666d7420f3acd3118cd100c04f8edb8a"),
    "data": bytes.fromhex("64617461f3acd3118cd100c04f8edb8a"),
}
_ASF, _ASF_DATA = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"), bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_BOXES = b"ftyp moov mdat free skip wide pnot styp uuid moof mfra sidx ssix meta udta pdin emsg prft junk".split()
_PLAIN = (b"NONE", b"sowt", b"twos", b"raw ", b"in24", b"in32", b"fl32", b"FL32", b"fl64", b"FL64")


@dataclass(frozen=True)
class Samples:
    """Where a header says that samples lie: from `start` on, `stated` bytes, in groups of `align`.

    `header(n)`: the header of a file that holds n bytes of samples and nothing behind them.
    """

    start: int
    stated: int
    align: int
    header: Callable[[int], bytes]
    endless: bool
    order: str = ""


def layout_of_header(window: FileView) -> ByteLayout | None:
    """The layout of a file whose container is one of these; None for all others."""
    found = _layout(window)
    return found and replace(found, second=_second(window))


def _layout(window: FileView) -> ByteLayout | None:
    head = window.at(0, 16)
    if head[:4] in (b"RIFF", b"RF64", b"BW64") and window.at(8, 4) == b"WAVE":
        return _of_samples(window, _wave(window))
    if head == _W64["riff"]:
        return _of_samples(window, _wave64(window), padded=True)
    if head[:4] == b"FORM" and window.at(8, 4) in (b"AIFF", b"AIFC"):
        return _of_samples(window, _aiff(window))
    if head[:4] == b"caff":
        return replace(_of_samples(window, _caf(window)), untrimmed=window.at(28, 4) == b"alac")
    if head[:4] == b".snd":
        return _of_samples(window, _au(window), trailing=True)
    if head[:4] == _EBML:
        return _clocked(window, _matroska(window))
    if head[4:8] in _BOXES:
        return _clocked(window, _boxes(window))
    if head == _ASF:
        return _clocked(window, _asf(window))
    if head[:4] == b"RIFF" and window.at(8, 4) == b"AVI ":
        stated = window.number(4, 4, "little")
        return _clocked(window, 0 if unknown(stated) else stated + 8)
    return None


def _second(window: FileView) -> int:
    """Where another file begins; Matroska and AVI are read on there."""
    head = window.at(0, 16)
    if head[4:8] in _BOXES:
        places = [place for place, name, _ in _each_box(window) if name == b"ftyp"]
        return places[1] if len(places) > 1 else 0
    if head == _W64["riff"]:
        end = window.number(16, 8, "little")
        return begins_at(window, end + -end % 8)
    if head[:4] == b"RF64" and window.at(12, 4) == b"ds64":
        return begins_at(window, 8 + window.number(20, 8, "little"))
    if head[:4] in (b"RIFF", b"FORM") and window.at(8, 4) != b"AVI ":
        size = window.number(4, 4, "little" if head[:4] == b"RIFF" else "big")
        return begins_at(window, 8 + size + size % 2)
    if head[:4] == b".snd":
        return begins_at(window, window.number(4, 4) + window.number(8, 4))
    return like_the_first(window) if head[:4] == b"caff" or head == _ASF else 0


def _clocked(window: FileView, end: int) -> ByteLayout:
    return ByteLayout(short=_short(end, window.size) if end > window.size else "", clocked=True)


def _short(stated: int, held: int) -> str:
    return f"its header states {stated:,} bytes, {held:,} are there"


def _of_samples(window: FileView, found: Samples | None, trailing: bool = False, padded: bool = False) -> ByteLayout:
    """`trailing`: the decoder would take what follows the samples for samples; `padded`: the bytes up to a multiple of
    eight."""
    if found is None:
        return ByteLayout()
    room = window.size - found.start
    whole = room // found.align * found.align
    if found.stated == 0 and not found.endless:
        return ByteLayout(empty=True)
    if found.endless:
        return ByteLayout((found.header(whole), (found.start, found.start + whole)))
    if found.stated > room:
        parts: tuple[Part, ...] = (found.header(whole), (found.start, found.start + whole))
        return ByteLayout(parts, _short(found.stated, room))
    if trailing and found.stated < room:
        text = f"{room - found.stated:,} bytes behind the samples: no sound, left out"
        return ByteLayout(((0, found.start + found.stated),), left_out=(text,))
    if padded and (found.stated % 8 or found.stated % found.align):
        whole = found.stated // found.align * found.align
        return ByteLayout((found.header(whole), (found.start, found.start + whole)))
    return ByteLayout()


def _chunks(window: FileView, place: int, order: str, wide: bool = False) -> Iterator[tuple[bytes, int, int]]:
    """(name, start of the content, stated size) of chunk after chunk; `wide`: sizes of eight bytes, no padding."""
    for _ in range(MOST_CHUNKS):
        head = window.at(place, 12 if wide else 8)
        if len(head) < (12 if wide else 8):
            return
        size = int.from_bytes(head[4:], "little" if order == "little" else "big")
        place += len(head)
        yield head[:4], place, size
        place += size if wide else size + size % 2


def _is_empty(window: FileView, place: int, order: str) -> bool:
    """Whether a chunk of no bytes is just that: other chunks follow it, up to the end of the file."""
    for name, start, size in _chunks(window, place, order):
        if not name.isalnum() and not name.strip().isalnum():
            return False
        if start + size + size % 2 >= window.size:
            return start + size in (window.size, window.size - 1)
    return False


def _wave(window: FileView) -> Samples | None:
    align, long = 1, 0
    for name, start, size in _chunks(window, 12, "little"):
        if name == b"fmt ":
            align = max(1, window.number(start + 12, 2, "little"))
        elif name == b"ds64":
            long = window.number(start + 8, 8, "little")
        elif name == b"data":
            rf64 = window.at(0, 4) != b"RIFF"
            stated = long if rf64 and size == 0xFFFFFFFF else size
            endless = unknown(stated, 64) if rf64 else unknown(stated) and stated > window.size - start
            if stated == 0:
                endless = not _is_empty(window, start, "little") and start < window.size
            middle = _without(window, b"ds64", start - 8)

            def header(count: int, middle: bytes = middle) -> bytes:
                total = 4 + len(middle) + 8 + count
                if total < 0xFFFF0000:
                    return b"RIFF" + struct.pack("<I", total) + b"WAVE" + middle + b"data" + struct.pack("<I", count)
                sizes = b"ds64" + struct.pack("<IQQQI", 28, total + 36, count, 0, 0)
                return b"RF64\xff\xff\xff\xffWAVE" + sizes + middle + b"data\xff\xff\xff\xff"

            return Samples(start, stated, align, header, endless)
    return None


def _without(window: FileView, name: bytes, end: int) -> bytes:
    """The chunks from byte 12 to `end`, but for one."""
    kept = b""
    for found, start, size in _chunks(window, 12, "little"):
        if start - 8 >= end or len(kept) > 1 << 24:
            break
        if found != name:
            kept += window.at(start - 8, 8 + size + size % 2)
    return kept


def _wave64(window: FileView) -> Samples | None:
    place, align = 40, 1
    for _ in range(MOST_CHUNKS):
        head = window.at(place, 24)
        if len(head) < 24:
            return None
        size = int.from_bytes(head[16:], "little")
        if head[:16] == _W64["fmt "]:
            align = max(1, window.number(place + 36, 2, "little"))
        if head[:16] == _W64["data"]:
            before = window.at(24, place - 24)

            def header(count: int, before: bytes = before) -> bytes:
                total = 24 + len(before) + 24 + count
                riff = _W64["riff"] + struct.pack("<Q", total)
                return riff + before + _W64["data"] + struct.pack("<Q", count + 24)

            return Samples(place + 24, size - 24, align, header, unknown(size, 64) or size == 24)
        place += max(24, size + -size % 8)
    return None


def _aiff(window: FileView) -> Samples | None:
    common, align, plain = 0, 1, True
    for name, start, size in _chunks(window, 12, "big"):
        if name == b"COMM":
            common = start
            align = max(1, window.number(start, 2) * -(-window.number(start + 6, 2) // 8))
            plain = window.at(8, 4) == b"AIFF" or window.at(start + 18, 4) in _PLAIN
        elif name == b"SSND" and common:
            if not plain:
                return Samples(start, size, 1, lambda count: b"", False)
            before = window.at(0, start + 8)

            def header(
                count: int, before: bytes = before, start: int = start, common: int = common, align: int = align
            ) -> bytes:
                patched = bytearray(before)
                struct.pack_into(">I", patched, 4, len(before) - 8 + count)
                struct.pack_into(">I", patched, common + 2, count // align)
                struct.pack_into(">I", patched, start - 4, count + 8)
                return bytes(patched)

            frames = window.number(common + 2, 4)
            endless = unknown(size) and (unknown(frames) or frames * align > window.size)
            endless = endless and not (size == 0 and _is_empty(window, start, "big"))
            return Samples(start + 8, size - 8, align, header, endless)
    return None


def _caf(window: FileView) -> Samples | None:
    align = 1
    for name, start, size in _chunks(window, 8, "big", wide=True):
        if name == b"desc":
            align = max(1, window.number(start + 16, 4))
        elif name == b"data":
            before = window.at(0, start - 8)

            def header(count: int, before: bytes = before, start: int = start) -> bytes:
                return before + struct.pack(">Q", count + 4) + window.at(start, 4)

            return Samples(start + 4, size - 4, align, header, unknown(size, 64))
    return None


def _au(window: FileView) -> Samples | None:
    start, stated = window.number(4, 4), window.number(8, 4)
    width = {1: 1, 27: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8}.get(window.number(12, 4), 1)
    align = max(1, width * window.number(20, 4))

    def header(count: int) -> bytes:
        return window.at(0, 8) + struct.pack(">I", min(count, 0xFFFFFFFF)) + window.at(12, start - 12)

    return Samples(start, stated, align, header, unknown(stated)) if 24 <= start <= window.size else None


def _number_of_ebml(window: FileView, place: int) -> tuple[int | None, int]:
    """(value, length) of a variable-length number; None where it says that it is not known."""
    first = window.at(place, 1)
    if not first or not first[0]:
        return None, 1
    length = 9 - first[0].bit_length()
    value = window.number(place, length) & (1 << 7 * length) - 1
    return (None if value == (1 << 7 * length) - 1 else value), length


def _matroska(window: FileView) -> int:
    """Where the last whole segment must end, 0 where no size is stated."""
    place, end = 0, 0
    for _ in range(MOST_CHUNKS):
        name = window.at(place, 4)
        if name not in (_EBML, _SEGMENT):
            break
        size, length = _number_of_ebml(window, place + 4)
        if size is None or (name == _SEGMENT and size == 0):
            return 0
        place += 4 + length + size
        end = place if name == _SEGMENT else end
    return end


def _each_box(window: FileView) -> Iterator[tuple[int, bytes, int]]:
    """(place, name, size) of the boxes of an MP4 file, the last of which may reach beyond its end."""
    place = 0
    for _ in range(MOST_CHUNKS):
        head = window.at(place, 16)
        if len(head) < 8 or head[4:8] not in _BOXES:  # something behind the last box
            return
        size = int.from_bytes(head[:4], "big")
        size = int.from_bytes(head[8:16], "big") if size == 1 else size
        if size < 8:  # 0: to the end of the file
            return
        yield place, head[4:8], size
        place += size


def _boxes(window: FileView) -> int:
    """Where the last box of an MP4 file must end."""
    return max((place + size for place, _, size in _each_box(window)), default=0)


def _asf(window: FileView) -> int:
    place = window.number(16, 8, "little")
    head = window.at(place, 24) if place < window.size else b""
    size = int.from_bytes(head[16:24], "little")
    return place + size if head[:16] == _ASF_DATA and not unknown(size, 64) and size > 50 else 0
