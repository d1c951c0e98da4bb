"""Face embeddings as NumPy files: code, shapes that lie, headers that are programs."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile

import numpy as np

from benchmarks.hostile.case import Room, case, cases_in

KEY = "titles[0].face_embedding"


class Malice:
    """Unpickled, it makes a folder."""

    def __init__(self, mark: object):
        self.mark = str(mark)

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self.mark,)


def npy(header: str, data: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    length = struct.pack("<H" if version == b"\x01\x00" else "<I", len(header))
    return b"\x93NUMPY" + version + length + header.encode("latin-1") + data


def described(dtype: str, shape: str, data: bytes = bytes(64)) -> bytes:
    return npy(f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}\n", data)


def _title(room: Room, content: bytes) -> list[str]:
    return room.title(face_embedding=room.file("evil.npy", content).name)


@case("array of objects that run code", "refused", KEY)
def objects(room: Room) -> list[str]:
    content = pickle.dumps(np.array([Malice(room.outside / "made")], object))
    return _title(room, described("'|O'", "(1,)", content))


@case("pickle named npy", "refused", KEY)
def pickled(room: Room) -> list[str]:
    return _title(room, pickle.dumps(Malice(room.outside / "made")))


@case("array of 10^12 numbers claimed", "refused", KEY)
def lying(room: Room) -> list[str]:
    return _title(room, described("'<f4'", "(1000000000000,)"))


@case("array of 10^10 numbers claimed", "refused", KEY)
def lying_less(room: Room) -> list[str]:
    return _title(room, described("'<f4'", "(10000000000,)"))


@case("array whose size overflows", "refused", KEY)
def overflow(room: Room) -> list[str]:
    return _title(room, described("'<f4'", "(4294967296, 4294967296, 2)"))


@case("array of negative shape", "refused", KEY)
def negative(room: Room) -> list[str]:
    return _title(room, described("'<f4'", "(-1,)"))


@case("array of items of 2 GiB", "refused", KEY)
def items(room: Room) -> list[str]:
    return _title(room, described("'|S2147483647'", "(100,)"))


@case("array of arrays of 10^9", "refused", KEY)
def nested_type(room: Room) -> list[str]:
    return _title(room, described("[('a', '<f4', (1000000000,))]", "(100,)"))


@case("header that is a program", "refused", KEY)
def program(room: Room) -> list[str]:
    return _title(room, npy(f"__import__('os').mkdir('{room.outside}/made')\n"))


@case("header of 9,000 brackets", "refused", KEY)
def brackets(room: Room) -> list[str]:
    return _title(room, npy("(" * 9_000 + "\n"))


@case("header of a number of 9,000 digits", "refused", KEY)
def digits(room: Room) -> list[str]:
    return _title(room, described("'<f4'", f"({'9' * 9_000},)"))


@case("header of 4 GiB claimed", "refused", KEY)
def header(room: Room) -> list[str]:
    return _title(room, b"\x93NUMPY\x02\x00\xff\xff\xff\xff{")


@case("archive of arrays that unfolds to 1 GiB", "refused", KEY)
def archive(room: Room) -> list[str]:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file, file.open("a.npy", "w", force_zip64=True) as one:
        one.write(described("'<f4'", f"({1 << 28},)", b""))
        for _ in range(1 << 10):
            one.write(bytes(1 << 20))
    return _title(room, stream.getvalue())


@case("numbers that are none", "refused", "not finite")
def nan(room: Room) -> list[str]:
    stream = io.BytesIO()
    np.save(stream, np.full(512, np.nan, np.float32))
    return _title(room, stream.getvalue())


CASES = cases_in(globals())
