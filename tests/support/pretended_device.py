"""A pretended CUDA device for machines without one: it computes on the processor and refuses what CUDA refuses.

`with pretended() as card:` makes `torch.device("cuda")` usable. Tensors there are `OnCard`s: they hold a processor's
tensor and say that they are on `cuda:0` (or another one of `card.devices`). Numbers come out as a processor computes
them in the same type, float16 included. What a real card would not do is an error here:

- tensors of two devices in one operation (a processor's single number is allowed, as on a card);
- `.numpy()` of a tensor on the card, and a processor's generator for random numbers there;
- attention over more rows than a grid of blocks has, and int8 products of shapes that the card has no kernel for.

What a real card would do and should not have to is counted: `card.blocking` holds every copy or look at a number for
which the processor waits until the card is done, by place in the code. A copy from or to pinned memory that is told
not to block does not count. `card.most_bytes` is the most that tensors on the card held at once.

Not pretended: kernels' own rounding and choice, streams, compiled graphs, what the types of autocast would be.
"""

from __future__ import annotations

import sys
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_map

ROOT = Path(__file__).resolve().parents[2]
ROWS = 65_535  # blocks that a grid has beyond its first side
CPU = torch.device("cpu")
HERE: list[Card] = []  # the one that is pretended now


class Card:
    """What is counted. `total` and `free`: bytes that it says it has."""

    def __init__(self, devices: int, total: int, free: int) -> None:
        self.devices, self.total, self.free = devices, total, free
        self.blocking: Counter[str] = Counter()
        self.held: dict[int, int] = {}  # bytes by storage
        self.most_bytes = 0

    def count(self, what: str) -> None:
        self.blocking[f"{what} at {_place()}"] += 1

    @property
    def waits(self) -> int:
        return self.blocking.total()

    def forget(self) -> None:
        """Begin to count anew; what is held stays held."""
        self.blocking.clear()
        self.most_bytes = self.bytes

    @property
    def bytes(self) -> int:
        return sum(self.held.values())

    def hold(self, elem: Tensor) -> None:
        storage = elem.untyped_storage()
        key = storage._cdata
        if key not in self.held:
            self.held[key] = storage.nbytes()
            weakref.finalize(storage, self.held.pop, key, None)
            self.most_bytes = max(self.most_bytes, self.bytes)


class OnCard(torch.Tensor):
    """A tensor that says it is on the card. To torch's own C++ it is the processor's, so that autograd works."""

    elem: Tensor
    place: torch.device

    @staticmethod
    def __new__(cls, elem: Tensor, place: torch.device, requires_grad: bool = False) -> OnCard:
        # Never an inference tensor itself: of the weights, which are none, there could be no views in inference mode.
        with torch.inference_mode(False):
            made = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
                cls,
                elem.size(),
                strides=elem.stride(),
                storage_offset=elem.storage_offset(),
                dtype=elem.dtype,
                layout=elem.layout,
                device=CPU,
                requires_grad=requires_grad,
            )
        made.elem, made.place = elem, place
        if HERE:
            HERE[-1].hold(elem)
        return made

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return self.place

    @property
    def is_cuda(self) -> bool:  # type: ignore[override]
        return True

    @property
    def is_cpu(self) -> bool:  # type: ignore[override]
        return False

    def __repr__(self) -> str:  # type: ignore[override]
        return f"OnCard({tuple(self.shape)}, {self.dtype}, {self.place})"

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return called(func, args, kwargs or {})

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return computed(func, args, kwargs or {})


class _Calls(TorchFunctionMode):
    """Sees what is called without any tensor on the card: constructors, and what is moved there."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return called(func, args, kwargs or {})


# -- what Python calls ----------------------------------------------------------------------------------------------


def called(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    name = getattr(func, "__name__", "")
    own = args[0] if args and isinstance(args[0], Tensor) else None
    if name == "__get__":
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **kwargs)
    if own is not None and name in ("to", "cuda", "cpu", "pin_memory", "is_pinned", "type_as"):
        return _moved(name, own, args[1:], kwargs)
    if isinstance(own, OnCard) and name in ("numpy", "__array__"):
        raise TypeError(f"can't convert {own.place} device type tensor to numpy. Use Tensor.cpu() at {_place()}")
    if isinstance(own, OnCard) and name == "tolist":
        HERE[-1].count("tolist")
        return own.elem.tolist()
    place = _card_of(kwargs.get("device"))
    if name == "new_tensor" and isinstance(own, OnCard) and place is None:
        place = own.place
        func, args = torch.tensor, args[1:]
    if place is None:
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **kwargs)
    given = kwargs.get("generator")
    if given is not None and not getattr(given, "of_card", False):
        raise RuntimeError(f"Expected a 'cuda' device type for generator but found 'cpu' at {_place()}")
    if name in ("tensor", "as_tensor", "asarray") and not isinstance(own, OnCard):
        HERE[-1].count("made of numbers")
    kwargs = {**kwargs, "device": CPU}
    with torch._C.DisableTorchFunctionSubclass():
        made = func(*tree_map(_elem, args), **tree_map(_elem, kwargs))
    return tree_map(lambda x: OnCard(x, place) if isinstance(x, Tensor) else x, made)


def _moved(name: str, own: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if name == "is_pinned":
        return getattr(own, "pinned", False)
    if name == "pin_memory":
        pinned = own.clone()
        pinned.pinned = True  # type: ignore[attr-defined]
        return pinned
    wanted, dtype, rest = None, kwargs.get("dtype"), []
    for one in (*args, kwargs.get("device"), kwargs.get("other")):
        if isinstance(one, torch.device | str | int) and not isinstance(one, bool):
            wanted = torch.device("cuda", one) if isinstance(one, int) else torch.device(one)
        elif isinstance(one, torch.dtype):
            dtype = one
        elif isinstance(one, Tensor):
            wanted, dtype = one.device, one.dtype
        elif one is not None:
            rest.append(one)
    waits = not (kwargs.get("non_blocking") or (rest and rest[0] is True))
    options = {k: v for k, v in kwargs.items() if k in ("copy", "memory_format")}
    wanted = {"cpu": CPU, "cuda": wanted or torch.device("cuda")}.get(name, wanted)
    source = own.device
    target = source if wanted is None else (_card_of(wanted) or wanted)
    with torch._C.DisableTorchFunctionSubclass():
        if target == source:
            return torch.Tensor.to(own, dtype=dtype or own.dtype, **options)
        if target.type == "meta" or source.type == "meta":
            return torch.Tensor.to(own, device=target, dtype=dtype or own.dtype, **options)
    apart = source.type != target.type  # from card to card the processor only asks
    if own.numel() and apart and (waits or not getattr(own, "pinned", target.type == "cpu")):
        HERE[-1].count(f"copy {source.type} to {target.type}")
    return _Carry.apply(own, target, dtype or own.dtype, options)


class _Carry(torch.autograd.Function):
    """From device to device, and the gradient back."""

    @staticmethod
    def forward(context: Any, own: Tensor, target: torch.device, dtype: torch.dtype, options: dict[str, Any]) -> Tensor:
        context.came = own.device, own.dtype
        with torch._C.DisableTorchFunctionSubclass():
            held = _elem(own).to(dtype, **{**options, "copy": True})
        return OnCard(held, target) if target.type == "cuda" else held

    @staticmethod
    def backward(context: Any, *grads: Tensor) -> Any:
        place, dtype = context.came
        held = _elem(grads[0]).to(dtype)
        return (OnCard(held, place) if place.type == "cuda" else held), None, None, None


# -- what is computed -----------------------------------------------------------------------------------------------

MIXES = {"copy_", "_to_copy", "index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"}
MIXES |= {"_has_compatible_shallow_copy_type"}
WAITS = {
    "_local_scalar_dense",
    "item",
    "nonzero",
    "_unique2",
    "unique_dim",
    "unique_consecutive",
    "masked_select",
    "equal",
}


def computed(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    name = func.overloadpacket.__name__
    given = [x for x in tree_flatten((args, kwargs))[0] if isinstance(x, Tensor)]
    here = [x for x in given if isinstance(x, OnCard)]
    card = HERE[-1]
    places = {x.place for x in here}
    if len(places) > 1 and name != "copy_":
        raise RuntimeError(f"Expected all tensors to be on the same device, but found {places} in {name} at {_place()}")
    elsewhere = [x for x in given if not isinstance(x, OnCard) and x.dim() > 0]
    if elsewhere and name not in MIXES:
        shapes = [tuple(x.shape) for x in elsewhere]
        raise RuntimeError(
            f"Expected all tensors to be on the same device, but found cpu {shapes} in {name} at {_place()}"
        )
    if name in WAITS:
        card.count(name)
    if name in ("index", "_unsafe_index", "index_put", "index_put_", "_index_put_impl_"):
        _look_at_index(card, args)
    if name == "copy_" and isinstance(args[0], OnCard) != isinstance(args[1], OnCard):
        card.count("copy_")
    _refuse_sizes(name, args)
    plain_args, plain_kwargs = tree_map(_elem, args), tree_map(_elem, kwargs)
    made = func(*plain_args, **plain_kwargs)
    known = {id(x.elem): x for x in here}
    place = here[0].place

    def wrapped(x: Any) -> Any:
        if not isinstance(x, Tensor) or isinstance(x, OnCard):
            return x
        return known[id(x)] if id(x) in known and name != "detach" else OnCard(x, place)

    if name == "copy_" and not isinstance(args[0], OnCard):
        return args[0]
    return tree_map(wrapped, made)


def _look_at_index(card: Card, args: tuple[Any, ...]) -> None:
    for one in args[1]:
        if one is None:
            continue
        if not isinstance(args[0], OnCard) and isinstance(one, OnCard):
            raise RuntimeError(f"indices should be on the same device as the indexed tensor (cpu) at {_place()}")
        if isinstance(args[0], OnCard) and not isinstance(one, OnCard):
            card.count("index from a list or the processor")
        elif one.dtype in (torch.bool, torch.uint8):
            card.count("index by a mask")


def _refuse_sizes(name: str, args: tuple[Any, ...]) -> None:
    if "scaled_dot_product" in name and args[0].shape[0] > ROWS:
        raise RuntimeError(f"CUDA error: invalid configuration argument ({args[0].shape[0]} rows) at {_place()}")
    if name == "_int_mm":
        (rows, inner), outer = args[0].shape, args[1].shape[1]
        if rows <= 16 or inner % 8 or outer % 8:
            raise RuntimeError(
                f"self.size(0) needs to be greater than 16 and sizes multiples of 8: {rows} {inner} {outer}"
            )


def _elem(x: Any) -> Any:
    return x.elem if isinstance(x, OnCard) else x


def _card_of(device: Any) -> torch.device | None:
    """The card's device with its number; None for any other device."""
    if device is None:
        return None
    device = torch.device(device)
    if device.type != "cuda":
        return None
    number = device.index or 0
    if not HERE or number >= HERE[-1].devices:
        raise RuntimeError(f"CUDA error: invalid device ordinal {number}")
    return torch.device("cuda", number)


def _place() -> str:
    """The innermost line of the project's own code, tests aside."""
    frame = sys._getframe(1)
    while frame is not None:
        file = Path(frame.f_code.co_filename)
        if file.is_relative_to(ROOT) and file.name != Path(__file__).name and ".venv" not in file.parts:
            return f"{file.relative_to(ROOT)}:{frame.f_lineno}"
        frame = frame.f_back  # type: ignore[assignment]
    return "?"


class CardGenerator(torch.Generator):
    """In the place of `torch.Generator`: one of the card is a processor's that numbers on the card may come from."""

    def __new__(cls, device: Any = "cpu") -> CardGenerator:
        made = super().__new__(cls, "cpu")
        made.of_card = torch.device(device).type == "cuda"
        return made


def _seen_in_threads(submit: Callable[..., Any]) -> Callable[..., Any]:
    """`ThreadPoolExecutor.submit`, so that what is called there is seen too."""

    def seen(pool: Any, task: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        def run() -> Any:
            with _Calls():
                return task(*args, **kwargs)

        return submit(pool, run)

    return seen


@contextmanager
def pretended(devices: int = 1, total: int = 140 << 30, free: int | None = None) -> Iterator[Card]:
    card = Card(devices, total, total if free is None else free)
    there: dict[str, Any] = {
        "is_available": lambda: True,
        "device_count": lambda: devices,
        "current_device": lambda: 0,
        "get_device_name": lambda device=None: "NVIDIA H200 (pretended)",
        "get_device_capability": lambda device=None: (9, 0),
        "mem_get_info": lambda device=None: (card.free, card.total),
        "memory_reserved": lambda device=None: card.bytes,
        "memory_allocated": lambda device=None: card.bytes,
        "is_bf16_supported": lambda *given: True,
        "empty_cache": lambda: None,
        "synchronize": lambda device=None: None,
    }
    before = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    HERE.append(card)
    try:
        with ExitStack() as stack:
            for name, value in there.items():
                stack.enter_context(mock.patch.object(torch.cuda, name, value))
            stack.enter_context(
                mock.patch.object(ThreadPoolExecutor, "submit", _seen_in_threads(ThreadPoolExecutor.submit))
            )
            stack.enter_context(_Calls())
            yield card
    finally:
        HERE.pop()
        torch.__future__.set_overwrite_module_params_on_conversion(before)
