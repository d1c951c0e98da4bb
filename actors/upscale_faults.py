"""What upscaling says of a GOP that it cannot make: too little memory, pictures that are no numbers."""

from __future__ import annotations

from models.families.finite import AGAIN
from pipeline.core.timeline import gop_range
from pipeline.titles.title_plan import TitlePlan


def ran_out(error: Exception) -> bool:
    """Whether it is torch.OutOfMemoryError, known by name: torch is not imported here."""
    return type(error).__name__ == "OutOfMemoryError"


def too_little(plan: TitlePlan, gop: int, error: Exception) -> str:
    return (
        f"title {plan.id}: GOP {gop} at resolution {plan.options.resolution} does not fit the memory of the device, in "
        "smaller pieces either; end what else runs there, or set a smaller resolution or background: lanczos, or take "
        f"a device with more memory ({str(error).splitlines()[0] if str(error) else type(error).__name__})"
    )


def no_numbers(plan: TitlePlan, gop: int, why: str, again: bool) -> str:
    first, stop = gop_range(gop, plan.frames)
    return (
        f"title {plan.id}: GOP {gop}, frames {first} to {stop - 1}: {why}{f', in {AGAIN} either' if again else ''}, "
        "expected finite ones; nothing of it was kept: check the weights (`longtake weights check`), or render with "
        "another fidelity or background"
    )
