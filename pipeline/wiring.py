"""Who carries out a run: the executor, the workers and the metrics. The only module that knows them all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf

from models.families.protocol import Family
from pipeline.driver.allocation import allocate, chain_devices, check_chain_devices
from pipeline.driver.drive import Executor
from pipeline.driver.inline import InlineExecutor
from pipeline.driver.request import Request
from pipeline.forecast.costs import scratch_bytes
from pipeline.manifest.catalog import Catalog
from pipeline.scheduler.pools import Limits
from pipeline.scheduler.schedule import Schedule
from pipeline.scheduler.work import Event, Role
from pipeline.scheduler.worker_protocol import WorkerProtocol
from pipeline.store.store import Store
from pipeline.titles.scenes import expected
from pipeline.titles.title_plan import TitlePlan


def executor_of(
    request: Request, catalog: Catalog, store: Store, family: Family, plans: dict[str, TitlePlan], run: str
) -> tuple[Executor, Limits]:
    # Here, because workers bring encoders along, which a look at the options does not need.
    from actors.roles import WORKERS

    halves = chain_devices(plans.values())
    if request.executor == "inline":
        check_chain_devices(halves, gpus=0)

        def make(role: Role) -> WorkerProtocol[TitlePlan]:
            return WORKERS[role](catalog.output, "cpu", run)

        limits = Limits(upscale=request.upscalers or 1, lanes=request.lanes or family.lanes)
        return InlineExecutor(make, plans, request.lanes), limits
    # Here, because Ray takes a while to import and a run in this process needs none.
    from pipeline.on_ray import connection
    from pipeline.on_ray.executor import RayExecutor

    connection.connect(request.address)
    connection.check_shared(store)
    cpus, gpus = connection.resources()
    growing = bool(request.gpus and request.gpus > gpus)
    check_chain_devices(halves, max(gpus, request.gpus or 0), inf if growing else connection.largest_machine())
    allocation = allocate(
        cpus,
        max(gpus, request.gpus or 0),
        family,
        request.chains,
        request.upscalers,
        titles=sum(max(1, len(expected(plan))) for plan in plans.values()),
        lanes=request.lanes,
        floor=request.min_upscalers,
        halves=halves,
        plain=max(connection.plain("CPU"), request.cores or 0),
        scratch=max(connection.plain(connection.SCRATCH), request.scratch or 0),
        largest=max(map(scratch_bytes, plans.values()), default=0),
    )
    allocation = replace(allocation, growing=growing)
    return RayExecutor(catalog.output, plans, allocation, run, WORKERS), allocation.limits


def metrics_of(request: Request) -> Callable[[Schedule, list[Event]], None]:
    """What keeps the driver's metrics; nobody asks for those of a run in this process."""
    if request.executor == "inline":
        return lambda schedule, events: None
    from pipeline.on_ray.metrics import DriverMetrics

    return DriverMetrics().observe
