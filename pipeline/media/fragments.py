"""Times in a fragment as a player computes them (ISO/IEC 14496-12), from `tfdt`, `tfhd` and `trun`; and moved ones."""

from __future__ import annotations

from pipeline.media.boxes import payload, place_of

# Optional fields of four bytes each, in this order, by their flags; the first of tfhd has eight.
_TFHD = ((0x01, 8), (0x02, 4), (0x08, 4))
_DURATION, _SIZE, _FLAGS, _OFFSET = 0x100, 0x200, 0x400, 0x800


def sample_times(init: bytes, fragment: bytes) -> list[tuple[int, int]]:
    """(decode time, time shown) of every picture in the order of decoding, in ticks of the track's clock.

    Raises ValueError where the boxes are not those of one fragment of one track.
    """
    try:
        tfdt = payload(fragment, "moof", "traf", "tfdt")
        trun = payload(fragment, "moof", "traf", "trun")
        time = _number(tfdt, 4, 8 if tfdt[0] else 4)
        default = _default_duration(init, payload(fragment, "moof", "traf", "tfhd"))
    except (KeyError, IndexError) as error:
        raise ValueError(f"box {error} is missing") from error
    signed, flags, count = trun[0] == 1, _number(trun, 1, 3), _number(trun, 4, 4)
    place = 8 + 4 * bool(flags & 0x01) + 4 * bool(flags & 0x04)
    fields = [flag for flag in (_DURATION, _SIZE, _FLAGS, _OFFSET) if flags & flag]
    if place + 4 * len(fields) * count > len(trun):
        raise ValueError(f"its trun claims {count} pictures and ends before")
    times = []
    for _ in range(count):
        duration, offset = default, 0
        for field in fields:
            if field == _DURATION:
                duration = _number(trun, place, 4)
            elif field == _OFFSET:
                offset = int.from_bytes(trun[place : place + 4], "big", signed=signed)
            place += 4
        times.append((time, time + offset))
        time += duration
    return times


def moved(fragment: bytes, ticks: int) -> bytes:
    """The same fragment, to be decoded so many ticks later: its decode time and nothing else is another.

    Raises ValueError where it has no decode time.
    """
    try:
        start, stop = place_of(fragment, "moof", "traf", "tfdt")
        size = 8 if fragment[start] else 4
        time = _number(fragment[:stop], start + 4, size) + ticks
        return fragment[: start + 4] + time.to_bytes(size, "big") + fragment[start + 4 + size :]
    except (KeyError, IndexError) as error:
        raise ValueError(f"box {error} is missing") from error


def _default_duration(init: bytes, tfhd: bytes) -> int:
    """Of the fragment, else of the track."""
    flags, place = _number(tfhd, 1, 3), 8
    for flag, size in _TFHD:
        if flag == 0x08 and flags & flag:
            return _number(tfhd, place, 4)
        place += size * bool(flags & flag)
    return _number(payload(init, "moov", "mvex", "trex"), 12, 4)


def _number(data: bytes, place: int, size: int) -> int:
    return int.from_bytes(data[place : place + size], "big")
