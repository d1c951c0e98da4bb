"""Longtake for programs: what the commands do, as functions that print nothing and end no process.

In a folder with a manifest of two titles:

    >>> from pipeline import api
    >>> catalog = api.load("manifest.yaml")
    >>> [title.id for title in catalog.titles]
    ['one', 'two']
    >>> api.plan(catalog).frames
    120

`on_event` is told what happens (`pipeline.api.events`). `executor="inline"` renders in this process, without Ray:

    >>> def show(event: api.Event) -> None:
    ...     if isinstance(event, api.GopDone) and event.stage == "upscale":
    ...         print(f"{event.title}: {event.done} of {event.gops}")
    >>> result = api.render(catalog, executor="inline", on_event=show)
    one: 1 of 2
    one: 2 of 2
    two: 1 of 2
    two: 2 of 2
    >>> [title.state for title in result.check().titles]
    ['done', 'done']
    >>> api.verify(catalog).ok
    True

A mistake is an exception with fields (`pipeline.core.errors`, `pipeline.api.errors`), whose text is for people:

    >>> try:
    ...     api.load("manifest.yaml", only=["three"])
    ... except api.ManifestError as error:
    ...     print(error.problems[0].text)
    --only three: no such title; it has one, two
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import Literal

from pipeline.api.cancel import Cancel
from pipeline.api.catalogs import load, loaded
from pipeline.api.checked import Statuses, Verification, VerifiedTitle, status, verify
from pipeline.api.errors import Busy, Cancelled, TitlesFailed, TitlesPaused
from pipeline.api.events import (
    Event,
    GopDone,
    Note,
    Started,
    StepDone,
    TitleDone,
    TitleFailed,
    TitlePaused,
    TitleSkipped,
    TitleUnlisted,
    UnitFailed,
    WorkerLost,
)
from pipeline.api.planned import Plan, plan
from pipeline.api.result import Result
from pipeline.api.run import Watch, carry_out
from pipeline.api.telling import Emitter, OnEvent
from pipeline.checks.status_of import Status
from pipeline.checks.title_check import Fault
from pipeline.core.errors import (
    DamagedObject,
    InputError,
    LongtakeError,
    ManifestError,
    MissingObject,
    OutputError,
    Paused,
    Problem,
    SetupError,
    StoreError,
    UserError,
    WeightsError,
)
from pipeline.driver.ending import TitleEnd
from pipeline.driver.other_versions import EVERY
from pipeline.driver.request import Request
from pipeline.forecast.costs import Cost
from pipeline.manifest.catalog import Catalog, Title

__all__ = [
    "EVERY",
    "Busy",
    "Cancel",
    "Cancelled",
    "Catalog",
    "Cost",
    "DamagedObject",
    "Event",
    "Fault",
    "GopDone",
    "InputError",
    "LongtakeError",
    "ManifestError",
    "MissingObject",
    "Note",
    "OnEvent",
    "OutputError",
    "Paused",
    "Plan",
    "Problem",
    "Result",
    "SetupError",
    "Started",
    "Status",
    "Statuses",
    "StepDone",
    "StoreError",
    "Title",
    "TitleDone",
    "TitleEnd",
    "TitleFailed",
    "TitlePaused",
    "TitleSkipped",
    "TitleUnlisted",
    "TitlesFailed",
    "TitlesPaused",
    "UnitFailed",
    "UserError",
    "Verification",
    "VerifiedTitle",
    "WeightsError",
    "WorkerLost",
    "load",
    "plan",
    "render",
    "status",
    "verify",
]

_ONE = threading.Lock()


def render(
    catalog: Catalog | str | os.PathLike[str],
    *,
    on_event: OnEvent | None = None,
    cancel: Cancel | None = None,
    preview: float | None = None,
    accept_crop: bool = False,
    skip_invalid: bool = False,
    skip_done: bool = False,
    retry_failed: bool = False,
    renew: Sequence[str] = (),
    fail_fast: bool = False,
    executor: Literal["ray", "inline"] = "ray",
    address: str | None = None,
    chains: int | None = None,
    upscalers: int | None = None,
    min_upscalers: int = 0,
    gpus: int | None = None,
    cores: int | None = None,
    scratch: int | None = None,
    lanes: int | None = None,
    grace: float = 20.0,
    watch: Watch | None = None,
) -> Result:
    """Render every title, or continue where its records end. Returns when all are done, failed or paused.

    A title that fails does not raise: see `Result.titles`, or call `Result.check`.

    `on_event` is called with one event at a time, in order, mostly in the thread that called `render` and sometimes in
    another; the render waits for it. If it raises before `Started`, the exception is the caller's at once. Later the
    render stops as if cancelled, `on_event` is not called again, and then the exception is raised.

    `cancel`: `Cancel.set`, from any thread, stops the render: GOPs in hand get `grace` seconds (with `inline` the one
    in hand is always finished), and the titles that are not done are paused. Before `Started` it raises Cancelled.

    `preview`: seconds, from the beginning, into `preview.mp4`. `accept_crop`: take the middle of portraits in which no
    face is found. `skip_invalid`: render the titles whose inputs are right. `skip_done`: do not open the inputs of
    titles that are done. `retry_failed`: those alone that failed when last tried. `renew`: ids of titles to render anew
    that an earlier version made or that are lost for good, or `[EVERY]`. `fail_fast`: stop when a title has failed.

    `executor`: `ray`, a cluster at `address` or RAY_ADDRESS, else this machine; or `inline`, this very thread.
    `chains`, `upscalers`, `min_upscalers`: bounds of the workers' numbers. `gpus`, `cores`, `scratch` (GiB): what a
    growing cluster may come to. `lanes`: titles in a chain worker's batch; 0 finds out what is best on its device.
    `watch`: a context manager that sees the scheduler after every turn of the loop; its types are not stable.

    Raises ManifestError, InputError, WeightsError, OutputError, SetupError; StoreError where the store does not answer;
    Busy where another thread of this process renders; OSError where a disk is full.
    """
    if not _ONE.acquire(blocking=False):
        raise Busy("another render is going on in this process; wait for it, or give both manifests' titles to one")
    try:
        cancel = cancel or Cancel()
        request = Request(
            preview=preview,
            accept_crop=accept_crop,
            skip_invalid=skip_invalid,
            skip_done=skip_done,
            retry_failed=retry_failed,
            renew=tuple(renew),
            fail_fast=fail_fast,
            executor=executor,
            address=address,
            chains=chains,
            upscalers=upscalers,
            min_upscalers=min_upscalers,
            gpus=gpus,
            cores=cores,
            scratch=scratch,
            lanes=lanes,
            grace=grace,
        )
        return carry_out(loaded(catalog), request, Emitter(on_event, cancel), cancel, watch)
    finally:
        _ONE.release()
