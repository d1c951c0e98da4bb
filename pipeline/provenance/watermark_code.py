"""The watermark's payload as a code that survives noise: 48 bits, a checksum of 16, and a convolutional code.

The code is the usual one of rate 1/3 and constraint length 7 (generators 133, 171 and 165 in octal), ended by six zero
bits and read back by the Viterbi algorithm from soft values.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np

PAYLOAD_BITS = 48
CHECK_BITS = 16
_MEMORY = 6
_GENERATORS = (0o133, 0o171, 0o165)
_STEPS = PAYLOAD_BITS + CHECK_BITS + _MEMORY
CODED_BITS = _STEPS * len(_GENERATORS)


def payload_of(*names: str) -> str:
    """The 48-bit payload that stands for these names, as 12 hexadecimal digits."""
    return hashlib.sha256("|".join(("longtake-mark/1", *names)).encode()).hexdigest()[: PAYLOAD_BITS // 4]


def encode(payload: str) -> np.ndarray:
    """Coded bits of a payload of 12 hexadecimal digits: int8 [210] of -1 and 1."""
    data = bytes.fromhex(payload)
    if len(data) * 8 != PAYLOAD_BITS:
        raise ValueError(f"payload {payload!r}: expected {PAYLOAD_BITS // 4} hexadecimal digits")
    bits = np.unpackbits(np.frombuffer(data + _check(data), np.uint8)).tolist() + [0] * _MEMORY
    state, coded = 0, []
    for bit in bits:
        register = bit << _MEMORY | state
        coded += [2 * ((register & generator).bit_count() & 1) - 1 for generator in _GENERATORS]
        state = register >> 1
    return np.array(coded, np.int8)


def decode(soft: np.ndarray) -> str | None:
    """The payload of soft values [210], positive for 1; None where the checksum does not hold."""
    values = np.asarray(soft, np.float64).reshape(_STEPS, len(_GENERATORS))
    before, signs = _trellis()
    states = len(before)
    score = np.full(states, -np.inf)
    score[0] = 0
    chosen = np.empty((_STEPS, states), np.int8)
    rows = np.arange(states)
    for step in range(_STEPS):
        candidates = score[before] + signs @ values[step]  # [states, 2]
        chosen[step] = candidates.argmax(1)
        score = candidates[rows, chosen[step]]
    state, bits = 0, np.empty(_STEPS, np.uint8)
    for step in range(_STEPS - 1, -1, -1):
        bits[step] = state >> (_MEMORY - 1)
        state = before[state, chosen[step, state]]
    data = np.packbits(bits[: PAYLOAD_BITS + CHECK_BITS]).tobytes()
    payload, check = data[: PAYLOAD_BITS // 8], data[PAYLOAD_BITS // 8 :]
    return payload.hex() if check == _check(payload) else None


def _check(payload: bytes) -> bytes:
    return hashlib.sha256(b"longtake-mark-check" + payload).digest()[: CHECK_BITS // 8]


@lru_cache
def _trellis() -> tuple[np.ndarray, np.ndarray]:
    """For every state the two states before it [64, 2], and what is coded on the way, -1 or 1 [64, 2, 3]."""
    states = 1 << _MEMORY
    before, signs = np.empty((states, 2), np.intp), np.empty((states, 2, len(_GENERATORS)))
    for state in range(states):
        for lost in (0, 1):  # the bit that leaves the register
            register = state << 1 | lost
            before[state, lost] = register & (states - 1)
            signs[state, lost] = [2 * ((register & generator).bit_count() & 1) - 1 for generator in _GENERATORS]
    return before, signs
