"""How many accelerators a chain worker takes for the halves of guidance (option `guidance_devices`)."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

from pipeline.core.errors import SetupError
from pipeline.titles.title_plan import TitlePlan


def devices_of(plans: Iterable[TitlePlan]) -> int:
    """What every chain worker asks for: any of them may get any title."""
    return max((plan.options.guidance_devices for plan in plans), default=1)


def check_devices(wanted: int, gpus: float, machine: float = inf) -> None:
    """Raises SetupError where no chain worker could be placed. `gpus`: of all; `machine`: of the largest machine.

    Ray does not share out more than one accelerator in parts, so upscaling needs one of its own.
    """
    if wanted == 1:
        return
    remedy = "leave the option out, or render on a cluster that has them"
    if gpus < wanted + 1:
        raise SetupError(
            f"guidance_devices: value {wanted}: {_there(gpus)} here, expected {wanted + 1} or more: {wanted} for a "
            f"chain worker and one for upscaling; {remedy}"
        )
    if machine < wanted:
        raise SetupError(
            f"guidance_devices: value {wanted}: the largest machine has {_there(machine)}, expected {wanted} on one; "
            f"{remedy}"
        )


def _there(gpus: float) -> str:
    return f"{gpus:g} accelerator{'s' * (gpus != 1)}"
