"""The denoiser's step compiled into one graph by torch's own compiler.

A graph is compiled for its shapes when it first runs, which takes minutes; what comes of it adds in another order, so
it is another numerics class. It is tried on a made-up clip before any title counts on it: where that fails, the step
runs as it is, says why, and is in the class of what was never compiled.

What the compiler makes is kept in a folder of the machine, for the workers that start there later:
`TORCHINDUCTOR_CACHE_DIR`, or `longtake/compiled` in `XDG_CACHE_HOME` (`~/.cache`).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

GRAPHS = 64  # shapes and kinds of step that may be compiled for; torch's own limit of 8 counts all titles together

log = logging.getLogger("longtake")


def told() -> str:
    """What compiled, as a numerics class names it beside torch: its own compiler, and what makes an accelerator's code.

    The compiler is told to choose by rule (`deterministic`). Left to itself it times its choices on the device, and two
    workers of one class would add in different orders. CUDA graphs are left out: they overwrite the features that
    `deep_every` keeps from step to step.
    """
    with suppress(PackageNotFoundError):
        return f"inductor, deterministic, triton {version('triton')}"
    return "inductor, deterministic"


class CompiledStep:
    """A step that is compiled when it first runs."""

    def __init__(self, step: Callable[..., Tensor], backend: Any = "inductor") -> None:
        """`backend`: of `torch.compile`."""
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(base / "longtake" / "compiled"))
        torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, GRAPHS)
        self._plain = step
        self._by_rule = backend == "inductor"
        self._step = torch.compile(step, dynamic=False, fullgraph=True, backend=backend)
        self.note: str | None = None
        """Why it is not compiled."""

    def __call__(self, *given: Any) -> Tensor:
        if not self._by_rule or self.note:
            return self._step(*given)
        from torch._inductor import config  # slow to import

        with config.patch(deterministic=True):
            return self._step(*given)

    def settle(self, trial: Callable[[], object]) -> None:
        """Run `trial`, which calls the step in all its shapes; should that fail, be the plain step from now on."""
        try:
            trial()
        except Exception as error:
            if isinstance(error, MemoryError | torch.OutOfMemoryError):
                raise  # less work would do: that is not the compiler's affair
            why = " ".join(str(error).split())[:300]
            self.give_up(f"compile: on: this machine cannot ({type(error).__name__}: {why}); it goes on uncompiled")
            log.warning(self.note)

    def give_up(self, note: str) -> None:
        self._step, self.note = self._plain, note
