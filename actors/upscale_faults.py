"""A GOP that upscaling cannot make as it is: too little memory, pictures that are no numbers.

What is tried instead, and what is said where that does not help.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from actors.worker import NotFiniteNumbers, log
from models.families.finite import AGAIN, NotFinite
from pipeline.core.timeline import gop_range
from pipeline.scheduler.work import Done
from pipeline.titles.title_plan import TitlePlan

Make = Callable[[Any, dict[str, Any]], Iterator[Done]]  # with a part; gets what is to be recorded of the GOP


class TooLittleMemory(MemoryError):
    """The device's memory does not hold what one GOP needs, in smaller pieces either."""


def made_somehow(plan: TitlePlan, gop: int, part: Any, make: Make, forget: Callable[[], None]) -> Iterator[Done]:
    """Make the GOP; from its beginning in smaller pieces, where the device's memory did not hold it.

    `forget`: called before it is begun anew. Raises TooLittleMemory, NotFiniteNumbers.
    """
    try:
        yield from _made_in_numbers(plan, gop, part, make, forget)
        return
    except Exception as error:
        if not ran_out(error):
            raise
        why = too_little(plan, gop, error)
    forget()
    if not part.shrink():
        raise TooLittleMemory(why)
    log.warning("%s; trying smaller pieces, from now on", why)
    try:
        yield from _made_in_numbers(plan, gop, part, make, forget)
    except Exception as error:
        if not ran_out(error):
            raise
        raise TooLittleMemory(why) from None


def _made_in_numbers(plan: TitlePlan, gop: int, part: Any, make: Make, forget: Callable[[], None]) -> Iterator[Done]:
    """Make the GOP; from its beginning in a type that reaches further, where a picture was not finite."""
    try:
        yield from make(part, {})
        return
    except NotFinite as error:
        wider, why = part.wider(), str(error)
    log.warning("title %s: GOP %d: %s; %s", plan.id, gop, why, f"again in {AGAIN}" if wider else "given up")
    forget()
    try:
        if wider is not None:
            yield from make(wider, {"remade": AGAIN})
            return
    except NotFinite as error:
        why = str(error)
    finally:
        forget()
    raise NotFiniteNumbers(no_numbers(plan, gop, why, wider is not None))


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
