"""`python -m benchmarks.run kernels`: a step of the published denoiser on an accelerator, counted and not run.

Networks at full width lie on torch's meta device, where nothing is computed, and say that they are on a card. Every
operation then counts as the kernels that torch launches for it: bytes read and written, and FLOP. A kernel takes
as long as the slower of the two; `BANDWIDTH` and the rates are what an H200 reaches, not what its data sheet promises.
Copies that change a layout count where a card makes them: before and behind torch's group norm, which takes and gives
channels first, and before convolutions, which take them last.

What it cannot tell: how well a kernel fits the card, time between kernels, and what the caches hold.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import Any
from unittest import mock

import click
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from benchmarks.networks.chain import SIDE, make_clip, make_networks
from benchmarks.told import tell
from models.diffusion.clip import clip_context
from models.families.config import HALLO2
from models.kernels import fused

BANDWIDTH = 4.0e12  # bytes a second, of 4.8e12 that an H200's memory has
PRODUCTS = 700e12  # FLOP a second of large products and convolutions in half precision
ATTENTION = 450e12  # FLOP a second of a fused attention kernel, on the whole tiles that it computes
QUERIES, KEYS = 128, 64  # of such a tile
HEADS = {40: 64, 80: 96, 160: 192}  # channels of a head that its kernels are made for

VIEWS = {
    "_reshape_alias", "_unsafe_view", "alias", "as_strided", "chunk", "detach", "diagonal", "empty", "empty_like",
    "empty_strided", "expand", "lift_fresh", "narrow", "new_empty", "permute", "reshape", "select", "slice", "split",
    "split_with_sizes", "squeeze", "t", "transpose", "unbind", "unflatten", "unfold", "unsqueeze", "view",
}  # fmt: skip
KINDS = {
    "attention": {"attention"},
    "products": {"addmm", "baddbmm", "bmm", "mm"},
    "convolutions": {"convolution"},
    "norms": {"add_norm", "group_norm", "native_group_norm", "native_layer_norm"},
    "copies": {"_to_copy", "cat", "clone", "copy_", "layout", "stack"},
}
REST = "element by element"


@dataclass
class Kernels:
    """Of one kind."""

    launches: int = 0
    bytes: int = 0
    flop: int = 0
    seconds: float = 0.0

    def add(self, launches: int, size: int, flop: int, rate: float, computed: int | None = None) -> None:
        """`computed`: FLOP that take time, where a kernel computes more than is asked for."""
        self.launches += launches
        self.bytes += size
        self.flop += flop
        self.seconds += max(size / BANDWIDTH, (flop if computed is None else computed) / rate)


class Counted(TorchDispatchMode):
    """Counts the kernels of what is called inside the `with`."""

    def __init__(self) -> None:
        super().__init__()
        self.kinds: dict[str, Kernels] = defaultdict(Kernels)

    def note(self, name: str, size: int, flop: int = 0, launches: int = 1) -> None:
        kind = next((kind for kind, names in KINDS.items() if name in names), REST)
        self.kinds[kind].add(launches, size, flop, PRODUCTS)

    def attention(self, q: Tensor, k: Tensor, v: Tensor) -> None:
        (rows, heads, queries, channels), keys = q.shape, k.shape[2]
        tiles = math.ceil(queries / QUERIES) * QUERIES * math.ceil(keys / KEYS) * KEYS
        flop, computed = (
            4 * rows * heads * count * wide
            for count, wide in ((queries * keys, channels), (tiles, HEADS.get(channels, channels)))
        )
        self.kinds["attention"].add(1, size_of(q, k, v, q), flop, ATTENTION, computed)

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = function(*args, **kwargs)
        name = function.overloadpacket.__name__
        if name in VIEWS:
            return result
        if name == "convolution" and args[1].dim() == 4:
            if any(_channels_last(one) for one in args[:2]):  # on the meta device it answers as a processor's would
                result = torch.empty_like(result, memory_format=torch.channels_last)
            if not _channels_last(args[0]):
                self.note("layout", 2 * size_of(args[0]))
        size = size_of(*tree_leaves((args, kwargs)), *tree_leaves(result))
        ours = function.namespace == "longtake" and name == "group_norm"  # reads its input twice
        count = flop_registry.get(function.overloadpacket)
        flop = int(count(*args, **kwargs, out_val=result)) if count else 0
        self.note(name, size + ours * size_of(args[0]), flop, 3 if ours else 1)
        return result


def size_of(*given: Any) -> int:
    """Bytes of tensors; a number that stands in many places is read once."""
    return sum(
        math.prod(count for count, step in zip(one.shape, one.stride(), strict=True) if step) * one.element_size()
        for one in given
        if isinstance(one, Tensor)
    )


def _channels_last(x: Tensor) -> bool:
    return x.is_contiguous(memory_format=torch.channels_last)


class SaidOnCard(TorchFunctionMode):
    """Tensors say that they are on a card, and attention is the one kernel that it is there."""

    def __init__(self, counted: Counted) -> None:
        super().__init__()
        self._counted = counted

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function == Tensor.is_cuda.__get__:  # type: ignore[attr-defined]
            return True
        if function is F.scaled_dot_product_attention:
            q, k, v = args
            self._counted.attention(q, k, v)
            rows, heads, queries, _ = q.shape
            return q.new_empty(rows, queries, heads, v.shape[-1]).transpose(1, 2)  # as such kernels lay it out
        return function(*args, **(kwargs or {}))


@torch.no_grad()
def step(*, guided: bool, kernels: bool, lanes: int = 1, side: int = SIDE) -> dict[str, Kernels]:
    """Of one step of the published denoiser in half precision, by kind; `kernels`: with ours (`models.kernels`)."""
    device = torch.device("meta")
    networks = make_networks(HALLO2, device, torch.float16).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    clip, noise = make_clip(HALLO2, HALLO2.clip_frames, device, torch.float16, side)
    context = clip_context(networks, clip, guided=guided)
    counted = Counted()
    latents = noise.half().repeat(lanes * (1 + guided), 1, 1, 1, 1)
    with mock.patch.object(fused, "usable", return_value=kernels), SaidOnCard(counted), counted:
        networks.denoising_unet(latents, torch.empty(len(latents), device=device), context)
    return dict(counted.kinds)


def total(kinds: dict[str, Kernels]) -> Kernels:
    return Kernels(
        sum(one.launches for one in kinds.values()),
        sum(one.bytes for one in kinds.values()),
        sum(one.flop for one in kinds.values()),
        sum(one.seconds for one in kinds.values()),
    )


WAYS = {"plain": False, "ours": True}


def measure() -> dict[str, Any]:
    found: dict[str, Any] = {"bytes_per_second": BANDWIDTH, "flop_per_second": PRODUCTS, "attention": ATTENTION}
    for name, guided in (("guided", True), ("unguided", False)):
        steps = {way: step(guided=guided, kernels=kernels) for way, kernels in WAYS.items()}
        found[name] = {
            way: {kind: vars(one) for kind, one in (*kinds.items(), ("together", total(kinds)))}
            for way, kinds in steps.items()
        }
    return found


@click.command()
@click.option("--json", "as_json", is_flag=True)
def main(as_json: bool) -> None:
    """Kernels, bytes and FLOP of a step of the published denoiser, and what an H200 would take for it, by count."""
    found = measure()
    table: list[tuple[object, ...]] = []
    for name in ("guided", "unguided"):
        table.append((f"{name} step", *(f"{way}: {what}" for way in WAYS for what in ("kernels", "GB", "TFLOP", "ms"))))
        for kind in (*KINDS, REST, "together"):
            row: list[object] = [kind]
            for way in WAYS:
                one = found[name][way].get(kind, vars(Kernels()))
                row += [one["launches"], f"{one['bytes'] / 1e9:.1f}", f"{one['flop'] / 1e12:.1f}"]
                row.append(f"{one['seconds'] * 1e3:.1f}")
            table.append(tuple(row))
    tell("kernels", found, table, as_json)
