"""What all parts made of networks share: the files of their weights, the device, the class of arithmetic, the threads.

The number of threads is the family's, because it changes the order of additions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.families.finite import AGAIN
from models.families.network_config import NetworkConfig
from models.families.protocol import Family
from models.families.weight_files import WeightFile
from models.image.sending import sent
from models.weights.loading import load, synthetic
from models.weights.precision import astray, libraries, number_type, numbered, settle_arithmetic, told, types_of


class Part:
    """A family's networks on one device; each kind of worker has its own kind of part."""

    def __init__(self, family: Family, weights: str | None, device: str) -> None:
        if family.networks is None:
            raise ValueError(f"family {family.name!r} is not made of networks")
        torch.set_num_threads(family.threads)
        self.family = family
        self.config: NetworkConfig = family.networks
        self.device = numbered(device)
        self.folder = Path(weights) if weights else None
        self._types: dict[str, torch.dtype] = {}  # of the networks that were loaded
        if self.device.type == "cuda":
            settle_arithmetic()

    def numerics(self) -> dict[str, Any]:
        same = {"torch": torch.__version__, "precision": told(self._types)}
        if self.device.type == "cuda":
            return {"device": torch.cuda.get_device_name(self.device), **same, **libraries()}
        return {"device": f"CPU {torch.backends.cpu.get_cpu_capability()}", **same, "threads": self.family.threads}

    def release(self) -> None:
        """Give back memory of the device that is held and not in use, to whoever shares it."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _sent(self, given: Tensor) -> Tensor:
        """Numbers of the processor on the device, without waiting for what it has in hand."""
        return sent(given, self.device)

    def _made_again(self) -> dict[str, Any]:
        """What the class says of numbers that leave the range of the type that they are computed in."""
        return {"not_finite": f"again in {AGAIN}"} if torch.float16 in self._types.values() else {}

    def file(self, network: str, suffix: str = "") -> tuple[WeightFile, Path] | None:
        """The first file of a network that is in the folder of weights."""
        for file in self.family.tree:
            for name in file.paths:
                if self.folder and file.network == network and name.endswith(suffix) and (self.folder / name).exists():
                    return file, self.folder / name
        return None

    def ready(self, network: str) -> Any:
        """The network with its weights, for inference on the device: from its file, or by rule without a folder."""
        return self._laid_out(self._loaded(network, number_type(self.family, network, self.device)), network)

    def _loaded(self, name: str, kind: torch.dtype) -> torch.nn.Module:
        if self.folder is None:
            return synthetic(name, self.config, self.device, kind)
        found = self.file(name)
        if found is None:
            raise FileNotFoundError(f"family {self.family.name}: no file of {name} in the folder of weights")
        return load(found[1], found[0], self.config, self.device, kind)

    def _laid_out(self, network: torch.nn.Module, name: str) -> torch.nn.Module:
        """Convolutions with channels last, as both kinds of device compute them, and as attention reads pictures."""
        self._types |= types_of(network, name)
        if self.device.type == "cpu" and self.family.needs_weights:
            return network  # gigabytes that workers of a machine share as pages of their files: no copies of these
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if lost := astray(network, self.device):
            raise RuntimeError(f"{name}: {', '.join(lost[:3])} not on {self.device}, where the network is")
        self.release()  # what the layouts were changed from
        return network
