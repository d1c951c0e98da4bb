"""How a cluster is divided between the roles: what one worker asks for, and how many there may be. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import inf

from models.families.protocol import Family
from pipeline.core.errors import SetupError
from pipeline.core.timeline import CLIP, GOP
from pipeline.scheduler.pools import Limits
from pipeline.scheduler.work import Role
from pipeline.titles.title_plan import TitlePlan

# Without machines for them, preparing and publishing ask for no cores, so that they find a place on a full cluster: one
# for so many cores. On machines without accelerators they have a core each, one in four of them to publish.
MOST_PREPARE, CORES_OF_PREPARE = 16, 8
MOST_PUBLISH, CORES_OF_PUBLISH = 8, 16
LIGHT_CHAIN = 0.25  # of a core: chains that need less of a machine without accelerators ask for none either
CORES_BESIDE = 4  # of a machine with an accelerator that is still to come
PUBLISH_OF = 4
GIB = 1 << 30


@dataclass(frozen=True)
class Resources:
    """What one worker of a role asks the cluster for."""

    cpus: float
    gpus: float = 0.0
    scratch: int = 0  # GiB of local disk; asked for where machines say what they have


@dataclass(frozen=True)
class Allocation:
    """Shares and most workers of each role on a cluster."""

    shares: dict[Role, Resources]
    limits: Limits
    lanes: int | None = None  # as asked for: 0 to find out what is best, None for the family's
    growing: bool = False  # more accelerators may come than are there


def allocate(
    cpus: float,
    gpus: float,
    family: Family,
    chains: int | None,
    upscalers: int | None,
    *,
    titles: int = 1,
    lanes: int | None = None,
    floor: int = 0,
    halves: int = 1,
    plain: float = 0.0,
    scratch: float = 0.0,
    largest: int = 0,
) -> Allocation:
    """Divide a cluster: roles share a device where there are fewer devices than roles, down to one core.

    `chains` and `upscalers` cap the workers of these roles; by default both get devices in proportion to what a second
    of video costs them, chains no more than have titles for their lanes; what chains leave goes to upscalers. CPU
    workers take as many cores as the family has threads; preparing and publishing are short and light, and so is a
    chain that costs next to nothing beside its upscaling (of `photo` on two cores 6 % of one).
    `halves`: accelerators of a chain worker; with more than one it has them to itself (`pipeline.driver.allocation`).
    `plain`: cores of machines without accelerators, beside those with some, that there are or that may come; `scratch`:
    GiB of local disk that these say they have. `largest`: bytes of it that one title takes at most.
    """
    plain, need = (int(plain) if gpus >= 1 else 0), (max(1, -(-largest // GIB)) if scratch else 0)
    if plain and need:  # as many as have room at once
        plain = min(plain, max(2, int(scratch // need)))
    prepare, publish, light = _light(max(cpus, CORES_BESIDE * gpus), plain)
    light = replace(light, scratch=need if plain >= 2 else 0)
    batch = lanes or family.lanes
    devices = int(gpus) if gpus >= 1 else int(cpus // family.threads)
    cost = GOP // CLIP * family.seconds_per_clip, GOP * family.seconds_per_frame
    wanted = devices * cost[0] / sum(cost)
    part, held = round(wanted), halves  # devices that all chains need, and that one of them has
    room = (devices - 1) // halves
    chain_count = chains or max(1, min(part // halves, room, -(-titles // batch)))
    if halves > 1:
        chain_count = min(chain_count, room)
        chain, upscale = Resources(1, float(halves)), Resources(1, 1.0)
    elif gpus >= 1:
        alone = gpus >= chain_count + 1
        chain, upscale = (Resources(1, 1.0), Resources(1, 1.0)) if alone else (Resources(1, 0.5), Resources(1, 0.45))
        devices = devices if alone else 1
    elif chains is None and upscalers is None and wanted < LIGHT_CHAIN:
        chain, upscale, held = Resources(0), Resources(float(min(family.threads, cpus))), 0
    else:
        workers = chain_count + (upscalers or 1)
        cores = min(float(family.threads), cpus / workers)
        chain = upscale = Resources(float(int(cores)) if cores >= 1 else round(cores * 0.99, 3))
    shares: dict[Role, Resources] = {"prepare": light, "chain": chain, "upscale": upscale, "publish": light}
    most = upscalers or max(1, devices - chain_count * held)
    limits = Limits(
        prepare=prepare,
        publish=publish,
        chain=chain_count,
        chain_devices=halves,
        upscale=most,
        lanes=batch,
        upscale_after=upscalers or max(1, devices),
        upscale_floor=min(floor, most),
    )
    return Allocation(shares, limits, lanes)


def _light(cores: float, plain: int) -> tuple[int, int, Resources]:
    """Most workers that prepare and that publish, and what each asks for. The pools grow with their backlog."""
    if plain >= 2:
        publish = max(1, plain // PUBLISH_OF)
        return plain - publish, publish, Resources(1)
    prepare, publish = int(cores) // CORES_OF_PREPARE, int(cores) // CORES_OF_PUBLISH
    return max(1, min(MOST_PREPARE, prepare)), max(1, min(MOST_PUBLISH, publish)), Resources(0)


def chain_devices(plans: Iterable[TitlePlan]) -> int:
    """What every chain worker asks for: any of them may get any title."""
    return max((plan.options.guidance_devices for plan in plans), default=1)


def check_chain_devices(wanted: int, gpus: float, machine: float = inf) -> None:
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
