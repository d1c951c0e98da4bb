"""Pickles of tensors are looked over before they are read: what they would build may not take for ever.

A pickle can name a tuple twice in another, and that twice in a third. Thirty such steps fit into a few hundred bytes,
and whoever uses the result as a key of a dictionary hashes a thousand million values. So the opcodes are walked first,
with a count in the place of every object: of the values that are met when it is hashed. Nothing is built meanwhile.
"""

from __future__ import annotations

import pickletools
from pathlib import Path
from typing import BinaryIO

import torch

LARGEST = 16 << 20  # bytes of a pickle without its tensors; the published ones have less than one
MOST_STEPS = 2_000_000  # opcodes; a tensor takes about thirty
MOST_VALUES = 1_000  # in a tuple, with those in its tuples; a tensor is made of about twenty
PARTS_OF_OLD_FILES = 5  # pickles one after the other in a file older than 2020: three of its version, tensors, storages

# These make something that can be hashed from what they take off the stack; lists and dictionaries cannot be.
_MAKE = frozenset(("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "REDUCE", "BUILD", "NEWOBJ", "NEWOBJ_EX", "INST", "OBJ"))
_MARK = -1


class PickleTooLarge(ValueError):
    """What a pickle would build is beyond all that a file of tensors needs."""


def scan_file(path: Path, archive: bool) -> None:
    """Walk every pickle of a file that `torch.load` would read. Raises PickleTooLarge, and ValueError for noise."""
    if archive:  # the very bytes that torch will read: an archive may hold several entries of one name
        scan(bytes(torch._C.PyTorchFileReader(str(path)).get_record("data.pkl")))
        return
    with path.open("rb") as stream:
        for part in range(PARTS_OF_OLD_FILES):
            if part and not stream.peek(1):
                return
            scan(stream)


def scan(pickle: bytes | BinaryIO) -> None:
    """Walk one pickle up to its end. Raises PickleTooLarge, and ValueError where it is none."""
    if isinstance(pickle, bytes) and len(pickle) > LARGEST:
        raise PickleTooLarge(f"it has {len(pickle):,} bytes beside its tensors, at most {LARGEST:,} are read")
    stack: list[int] = []
    memo: dict[int, int] = {}
    for step, (opcode, argument, position) in enumerate(pickletools.genops(pickle)):
        if step >= MOST_STEPS or (position or 0) > LARGEST:
            raise PickleTooLarge(f"it has more than {MOST_STEPS:,} steps or {LARGEST:,} bytes")
        match opcode.name:
            case "MARK":
                stack.append(_MARK)
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                memo[int(str(argument))] = _top(stack)
            case "MEMOIZE":
                memo[len(memo)] = _top(stack)
            case "GET" | "BINGET" | "LONG_BINGET":
                stack.append(memo.get(int(str(argument)), 1))
            case "DUP":
                stack.append(_top(stack))
            case name:
                taken = _take(stack, opcode)
                made = 1 + sum(taken) if name in _MAKE else 1
                if made > MOST_VALUES:
                    raise PickleTooLarge(f"at byte {position} it nests more than {MOST_VALUES:,} values in each other")
                stack += [made] * len(opcode.stack_after)


def _top(stack: list[int]) -> int:
    return stack[-1] if stack and stack[-1] != _MARK else 1


def _take(stack: list[int], opcode: pickletools.OpcodeInfo) -> list[int]:
    """What the opcode takes off the stack; from a mark on, where it asks for one."""
    before = list(opcode.stack_before)
    taken: list[int] = []
    if pickletools.markobject in before:
        while stack and (value := stack.pop()) != _MARK:
            taken.append(value)
        before = before[: before.index(pickletools.markobject)]
    for _ in before:
        if stack:
            taken.append(max(1, stack.pop()))
    return taken
