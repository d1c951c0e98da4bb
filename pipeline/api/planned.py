"""What titles are and will cost, before anything is spent."""

from __future__ import annotations

import os
from dataclasses import dataclass

from models.families.registry import FAMILIES
from pipeline.api.cancel import Cancel
from pipeline.api.catalogs import loaded, select, usable
from pipeline.api.telling import Emitter, OnEvent
from pipeline.core.errors import Problem
from pipeline.driver.request import Request
from pipeline.forecast import costs
from pipeline.intake.survey import plan_title
from pipeline.intake.weight_intake import find_weights, take_weights
from pipeline.manifest.catalog import Catalog
from pipeline.media import ffmpeg
from pipeline.sources import urls
from pipeline.store.opening import open_store


@dataclass(frozen=True)
class Plan:
    """`titles`: a Cost each, in the order of the manifest; `Cost.plan` has frames, GOPs and hashes.

    `problems`: why titles were left out (`skip_invalid`).
    """

    output: str
    titles: tuple[costs.Cost, ...]
    workers: tuple[int, int]
    problems: tuple[Problem, ...] = ()

    @property
    def frames(self) -> int:
        """Of all titles, at 25 a second."""
        return sum(cost.plan.frames for cost in self.titles)

    @property
    def gops(self) -> int:
        """Of all titles; 48 frames each, the last of a title may have fewer."""
        return sum(cost.plan.gops for cost in self.titles)

    def total(self) -> costs.TotalFacts:
        """The catalog's sums, as `python -m pipeline.plan --json` prints them under `total`."""
        return costs.total_of(self.titles, *self.workers)


def plan(
    catalog: Catalog | str | os.PathLike[str],
    *,
    workers: tuple[int, int] = (1, 1),
    device: str | None = None,
    accept_crop: bool = False,
    skip_invalid: bool = False,
    skip_done: bool = False,
    retry_failed: bool = False,
    check_weights: bool = False,
    on_event: OnEvent | None = None,
    cancel: Cancel | None = None,
) -> Plan:
    """Look at the inputs of every title and say what rendering will cost. Renders nothing.

    Where the look takes long, what it found is kept in the output, so that `render` need not look again. `workers`:
    chain workers and upscalers to plan the time for. `device`: class of accelerator, by default the family's first.
    `check_weights`: read weights that lie on this machine, too, and leave nothing to be found wrong by `render`. Other
    options and `on_event` are as for `render`.

    Raises ManifestError, WeightsError, OutputError, SetupError; Cancelled.
    """
    ffmpeg.binary()
    catalog, cancel = loaded(catalog), cancel or Cancel()
    family, emit = FAMILIES[catalog.family], Emitter(on_event, cancel)
    costs.speed_of(family, device)  # a device without figures is said before inputs are read
    request = Request(
        accept_crop=accept_crop, skip_invalid=skip_invalid, skip_done=skip_done, retry_failed=retry_failed
    )
    store = open_store(catalog.output)
    catalog, _ = select(catalog, store, request, emit)
    if not catalog.titles:
        return Plan(str(store), (), workers, catalog.problems)
    found = find_weights(family, catalog.weights) if check_weights else None
    seen, problems = usable(catalog, store, request, emit, found, weights=check_weights)
    if check_weights and catalog.weights and urls.is_local(catalog.weights):  # others would be fetched only to be lost
        take_weights(family, found, store, emit.note, write=False)
    plans = [plan_title(family, one) for one in seen]
    titles = tuple(costs.cost_of(one, device, workers[1], workers[0]) for one in plans)
    return Plan(str(store), titles, workers, tuple(problems))
