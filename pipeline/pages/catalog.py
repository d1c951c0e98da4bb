"""The catalog as pages show it: one entry a title, from the schedule of a run or from records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from pipeline import __version__
from pipeline.checks.status_of import Status
from pipeline.core.safe_text import redact
from pipeline.core.timeline import FPS, GOP
from pipeline.pages.remedies import remedy
from pipeline.scheduler.title_state import TitleState
from pipeline.store.store import Store
from pipeline.titles.title_plan import TitlePlan

VERSION = 1
KEY = "_pages/catalog.json"
State = Literal["waiting", "preparing", "rendering", "publishing", "preview", "done", "failed", "paused", "damaged"]
OVER = ("preview", "done", "failed", "paused", "damaged")


@dataclass(frozen=True)
class Entry:
    """A title in the catalog. Counts are GOPs; `rate` frames a second; `left` seconds; `at` seconds since 1970."""

    id: str
    name: str
    state: str
    seconds: float
    gops: int
    chained: int = 0
    upscaled: int = 0
    listed: int = 0
    rate: float = 0.0
    left: float | None = None
    stream: str = ""
    thumb: bool = False
    page: bool = False
    reason: str = ""
    remedy: str = ""
    retries: int = 0
    at: float = 0.0

    @property
    def over(self) -> bool:
        return self.state in OVER


def catalog_name(store: Store) -> str:
    """What a catalog is called: its folder's name, where that says anything."""
    name = str(store).rstrip("/").rpartition("/")[2]
    return "Catalog" if name in ("", "out", "output") else name


def name_of(plan: TitlePlan) -> str:
    """What a title is called: as the manifest or its sound says, else its id."""
    return dict(plan.metadata.tags).get("title") or plan.id


def state_of(title: TitleState, whole: int) -> State:
    """`whole`: GOPs of the title, more than the run makes where that is a preview."""
    if title.done:
        return "done" if title.work.gops == whole else "preview"
    if title.failed is not None or title.paused is not None:
        return "failed" if title.failed is not None else "paused"
    if title.streamed >= title.work.gops:
        return "publishing"
    if title.chained or title.streamed:
        return "rendering"
    return "preparing" if title.sound or title.conditioning or title.blocks else "waiting"


def entry_of(plan: TitlePlan, title: TitleState, rate: float, retries: int, at: float) -> Entry:
    """The entry of a title that a run is working on; `at` is when this was so."""
    state = state_of(title, plan.gops)
    reason = title.failed or title.paused
    left = (title.work.gops - title.streamed) * GOP / rate if rate and state == "rendering" else None
    return Entry(
        id=plan.id,
        name=name_of(plan),
        state=state,
        seconds=plan.frames / FPS,
        gops=plan.gops,
        chained=title.chained,
        upscaled=title.streamed + len(title.beyond),
        listed=title.listed,
        rate=round(rate, 2),
        left=None if left is None else round(left),
        stream=plan.hashes.stream[:16],
        reason=redact(str(reason or "")),
        remedy=remedy(state, reason.kind if reason else ""),
        retries=retries,
        at=round(at),
    )


def entry_of_status(status: Status, name: str, at: float) -> Entry:
    """The entry of a title that no run is working on, from its records."""
    states = {"not begun": "waiting", "rendering": "paused", "preparing": "paused"}
    state = states.get(status.state, status.state)
    reason = redact("; ".join(status.notes)) if state in ("failed", "paused", "damaged") else ""
    return Entry(
        id=status.id,
        name=name,
        state=state,
        seconds=status.frames / FPS,
        gops=status.gops,
        chained=status.chained,
        upscaled=status.upscaled,
        listed=status.published,
        stream=status.stream[:16],
        reason=reason,
        remedy=remedy(state, status.kind),
        at=round(at),
    )


def catalog(
    name: str, entries: Iterable[Entry], before: Mapping[str, object] | None, run: Mapping[str, object], written: float
) -> dict[str, object]:
    """The whole as plain data: these entries, and after them whatever `before` held of other titles.

    `run` says which run wrote it, whether it goes on, and what it left out.
    """
    mine = {entry.id: asdict(entry) for entry in entries}
    others = before.get("titles") if before and before.get("version") == VERSION else None
    kept = [
        one
        for one in (others if isinstance(others, list) else [])
        if isinstance(one, dict) and one.get("id") not in mine
    ]
    return {
        "version": VERSION,
        "software": f"Longtake {__version__}",
        "name": name,
        "written": round(written, 1),
        "run": dict(run),
        "titles": [*mine.values(), *kept],
    }
