"""What all parts made of networks share: the files of their weights, the device, the class of arithmetic, the threads.

The number of threads is the family's, because it changes the order of additions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from models.execution.precision import number_type, told
from models.families.network_config import NetworkConfig
from models.families.protocol import Family
from models.families.weight_files import WeightFile
from models.weights.loading import load, synthetic


class Part:
    """A family's networks on one device; each kind of worker has its own kind of part."""

    def __init__(self, family: Family, weights: str | None, device: str) -> None:
        if family.networks is None:
            raise ValueError(f"family {family.name!r} is not made of networks")
        torch.set_num_threads(family.threads)
        self.family = family
        self.config: NetworkConfig = family.networks
        self.device = torch.device(device)
        self.folder = Path(weights) if weights else None
        self._types: dict[str, torch.dtype] = {}  # of the networks that were loaded

    def numerics(self) -> dict[str, Any]:
        same = {"torch": torch.__version__, "precision": told(self._types)}
        if self.device.type == "cuda":
            return {"device": torch.cuda.get_device_name(self.device), **same}
        return {"device": f"CPU {torch.backends.cpu.get_cpu_capability()}", **same, "threads": self.family.threads}

    def file(self, network: str, suffix: str = "") -> tuple[WeightFile, Path] | None:
        """The first file of a network that is in the folder of weights."""
        for file in self.family.tree:
            for name in file.paths:
                if self.folder and file.network == network and name.endswith(suffix) and (self.folder / name).exists():
                    return file, self.folder / name
        return None

    def ready(self, network: str) -> Any:
        """The network with its weights, for inference on the device: from its file, or by rule without a folder."""
        if self.folder is None:
            return self._laid_out(network, synthetic(network, self.config, self.device))
        found = self.file(network)
        if found is None:
            raise FileNotFoundError(f"family {self.family.name}: no file of {network} in the folder of weights")
        return self._laid_out(network, load(found[1], found[0], self.config, self.device))

    def _laid_out(self, name: str, network: torch.nn.Module) -> torch.nn.Module:
        """Convolutions with channels last, as both kinds of device compute them, and as attention reads pictures."""
        kind = self._types[name] = number_type(self.family, name, self.device)
        network = network.to(kind)
        if self.device.type == "cpu" and self.family.needs_weights:
            return network  # gigabytes that workers of a machine share as pages of their files: no copies of these
        return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
