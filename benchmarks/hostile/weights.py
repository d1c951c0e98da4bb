"""Files of weights: pickles that run code, archives and headers that lie, tensors that are none."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
from typing import Any

import torch

from benchmarks.hostile.arrays import Malice
from benchmarks.hostile.case import Room, case, cases_in

PICKLE = "facelib/detection_Resnet50_Final.pth"
TENSORS = "sd-vae-ft-mse/diffusion_pytorch_model.safetensors"


def _check(room: Room, name: str, content: bytes) -> list[str]:
    room.file(f"weights/{name}", content)
    return ["weights", "check", str(room.studio / "weights")]


def archive_of(content: bytes, more: dict[str, bytes] | None = None, packing: int = zipfile.ZIP_STORED) -> bytes:
    """What torch.save writes, around any pickle."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", packing) as file:
        for name, data in {"data.pkl": content, "byteorder": b"little", "version": b"3\n", **(more or {})}.items():
            file.writestr(f"archive/{name}", data)
    return stream.getvalue()


def _saved(tensors: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(tensors, stream)
    return stream.getvalue()


@case("pickle that runs code", "refused", "could run code")
def malice(room: Room) -> list[str]:
    return _check(room, PICKLE, pickle.dumps({"a": Malice(room.outside / "made")}))


@case("archive that runs code", "refused", "could run code")
def archive_malice(room: Room) -> list[str]:
    return _check(room, PICKLE, archive_of(pickle.dumps({"a": Malice(room.outside / "made")}, 2)))


@case("pickle that asks for a getter of everything", "refused", PICKLE)
def getter(room: Room) -> list[str]:
    return _check(room, PICKLE, archive_of(b"\x80\x02cbuiltins\ngetattr\n(cos\nsystem\nX\x01\x00\x00\x00atR."))


@case("pickle that claims 2^60 bytes", "refused", PICKLE)
def claims(room: Room) -> list[str]:
    return _check(room, PICKLE, b"\x80\x04\x8e" + struct.pack("<Q", 1 << 60) + b"x.")


@case("pickle nested 200,000 deep", "refused", PICKLE)
def deep(room: Room) -> list[str]:
    return _check(room, PICKLE, archive_of(b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b"."))


def doubling(steps: int) -> bytes:
    """A dictionary whose key is a tuple of 2^steps values: each step names the tuple before it twice."""
    steps_of_it = b"".join(b"q" + bytes([step]) + b"h" + bytes([step]) + b"\x86" for step in range(steps))
    return b"\x80\x02})" + steps_of_it + b"K\x00s."


@case("pickle whose key has 2^60 values", "refused", "nests more than")
def doubled(room: Room) -> list[str]:
    return _check(room, PICKLE, archive_of(doubling(60)))


@case("old pickle whose key has 2^60 values", "refused", "nests more than")
def doubled_of_old(room: Room) -> list[str]:
    return _check(room, PICKLE, doubling(60))


@case("archive whose pickle unfolds to 64 MiB", "refused", PICKLE)
def zip_bomb(room: Room) -> list[str]:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        with file.open("archive/data.pkl", "w", force_zip64=True) as one:
            one.write(b"\x80\x02")
            for _ in range(64):
                one.write(b"N0" * (1 << 19))
        file.writestr("archive/version", b"3\n")
    return _check(room, PICKLE, stream.getvalue())


@case("archive with names that climb", "refused", PICKLE)
def climbing(room: Room) -> list[str]:
    return _check(room, PICKLE, archive_of(pickle.dumps({}, 2), {"../../../outside/made": b"x"}))


@case("archive of a program", "refused", PICKLE)
def script(room: Room) -> list[str]:
    code = b"import os\ndef forward(self):\n  return 1\n"
    return _check(room, PICKLE, archive_of(pickle.dumps({}, 2), {"constants.pkl": pickle.dumps(()), "code/m.py": code}))


@case("tensors of 2^80 elements in one number", "refused", PICKLE)
def strides(room: Room) -> list[str]:
    huge = torch.zeros(1).as_strided((1 << 30, 1 << 30), (0, 0))
    return _check(room, PICKLE, _saved({"module.body.conv1.weight": huge}))


@case("sparse, quantised and empty tensors", "refused", PICKLE)
def odd(room: Room) -> list[str]:
    from models.families.hallo2 import HALLO2
    from models.weights.loading import RECIPES, make

    wanted = RECIPES["detector"].holder(make("detector", HALLO2)).state_dict()
    tensors = {f"module.{name}": _sparse(value) for name, value in wanted.items()}
    return _check(room, PICKLE, _saved(tensors))


def _sparse(value: torch.Tensor) -> torch.Tensor:
    if not value.is_floating_point():
        return torch.zeros(value.shape, dtype=value.dtype)
    return torch.sparse_coo_tensor(torch.zeros(value.dim(), 0, dtype=torch.long), [], value.shape)


@case("pickle whose names are terminal codes", "refused", PICKLE)
def codes(room: Room) -> list[str]:
    return _check(room, PICKLE, _saved({"\x1b[2J\nroot: ok": torch.zeros(1)}))


@case("pickle with names of a megabyte", "refused", PICKLE)
def long_names(room: Room) -> list[str]:
    return _check(room, PICKLE, _saved({"n" * 1_000_000: torch.zeros(1)}))


@case("pickle cut in half", "refused", "cut short")
def cut(room: Room) -> list[str]:
    content = _saved({"a": torch.zeros(10_000)})
    return _check(room, PICKLE, content[: len(content) // 2])


def safetensors(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(shape: list[int], start: int, stop: int, kind: str = "F32") -> dict[str, Any]:
    return {"dtype": kind, "shape": shape, "data_offsets": [start, stop]}


HEADERS: dict[str, bytes] = {
    "header of 2^63 bytes claimed": safetensors({}, length=2**63),
    "header of 99 MB claimed": safetensors({}, length=99_000_000),
    "header of no bytes": safetensors(b""),
    "header of 100,000 brackets": safetensors(b'{"a":' + b"[" * 100_000),
    "header that is no mapping": safetensors([1, 2]),
    "offsets that overlap": safetensors({"a": entry([1], 0, 4), "b": entry([1], 0, 4)}, bytes(4)),
    "offsets beyond the end": safetensors({"a": entry([1 << 40], 0, 1 << 42)}, bytes(4)),
    "offsets backwards": safetensors({"a": entry([1], 4, 0)}, bytes(4)),
    "offsets below zero": safetensors({"a": entry([1], -4, 0)}, bytes(4)),
    "shape that lies": safetensors({"a": entry([1 << 20], 0, 4)}, bytes(4)),
    "shape that overflows": safetensors({"a": entry([1 << 62, 4], 0, 0)}, b""),
    "unknown type of numbers": safetensors({"a": entry([1], 0, 4, "F31")}, bytes(4)),
    "the same name twice": safetensors(
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}',
        bytes(8),
    ),
    "holes between tensors": safetensors({"a": entry([1], 0, 4), "b": entry([1], 400, 404)}, bytes(404)),
    "names of terminal codes": safetensors({"\x1b[2J\nroot: ok": entry([1], 0, 4)}, bytes(4)),
    "names of a megabyte": safetensors({"n" * 1_000_000: entry([1], 0, 4)}, bytes(4)),
    "eight bytes": bytes(8),
    "three bytes": bytes(3),
    "pickle in the name of safetensors": pickle.dumps({"a": 1}),
}


@case("safetensors: a hundred thousand tensors", "refused", TENSORS)
def many(room: Room) -> list[str]:
    header = {f"t{n}": entry([1], 4 * n, 4 * n + 4) for n in range(100_000)}
    return _check(room, TENSORS, safetensors(header, bytes(400_000)))


def _with(content: bytes) -> Any:
    return lambda room: _check(room, TENSORS, content)


CASES = [
    *cases_in(globals()),
    *(case(f"safetensors: {name}", "refused", TENSORS)(_with(content)) for name, content in HEADERS.items()),
]
