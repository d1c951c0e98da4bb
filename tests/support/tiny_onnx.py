"""An ONNX file of one operator, written byte by byte: the format is a protocol buffer."""

from __future__ import annotations

FLOAT, OPSET, IR = 1, 13, 8


def one_operator(operator: str, shape: tuple[int, ...]) -> bytes:
    """A network that applies a unary operator to a float32 tensor."""
    dims = b"".join(_field(1, _number(1, size)) for size in shape)
    tensor = _field(1, _number(1, FLOAT) + _field(2, dims))
    node = _field(1, b"input") + _field(2, b"output") + _field(4, operator.encode())
    graph = _field(1, node) + _field(2, b"one")
    graph += _field(11, _field(1, b"input") + _field(2, tensor)) + _field(12, _field(1, b"output") + _field(2, tensor))
    return _number(1, IR) + _field(7, graph) + _field(8, _field(1, b"") + _number(2, OPSET))


def _field(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])
