"""How long the calls of a title take, for simulating a run: planning figures, or what records of past runs say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from statistics import median

from models.families.registry import FAMILIES
from pipeline.core.errors import UserError
from pipeline.core.timeline import CLIP, FPS, GOP
from pipeline.forecast import costs
from pipeline.manifest.options import Options
from pipeline.store.record import Record
from pipeline.store.stage_view import StageView
from pipeline.store.store import Store
from pipeline.titles.title_folders import TitleFolders, read_json
from pipeline.titles.title_plan import TitlePlan

SAMPLES = 200  # newest records of a stage and title that are looked at

# Processor seconds on one core, measured with families fake and mini; preparing and publishing are light.
SOUND = 0.01  # for a second of sound: decoding, AAC, HLS
PORTRAIT = 3.0
FEATURES = 2.0  # for a block of a minute
PLAYLIST = 0.05
FINISH = 0.3
FINISH_GOP = 0.002  # each fragment is read and checked once


@dataclass(frozen=True)
class CallTimes:
    """Seconds: of a clip in one lane, of upscaling a GOP, `call` of a chain's call beside its clips.

    `sound` is of a second of sound, `features` of a block, `finish` and `finish_gop` of the finished file.
    """

    seconds_per_clip: float
    seconds_per_gop: float
    call: float = 0.05
    sound: float = SOUND
    portrait: float = PORTRAIT
    features: float = FEATURES
    playlist: float = PLAYLIST
    finish: float = FINISH
    finish_gop: float = FINISH_GOP
    batch: float | None = None  # of a clip in a full batch, where it was measured


def planned(plan: TitlePlan, chain_device: str | None = None, upscale_device: str | None = None) -> CallTimes:
    """Planning figures of `costs`. Raises UserError for a device without figures."""
    family = FAMILIES[plan.family]
    chain, upscale = costs.speed_of(family, chain_device), costs.speed_of(family, upscale_device)
    return CallTimes(costs.clip_seconds(chain, plan.options), costs.frame_seconds(upscale, plan.options) * GOP)


@dataclass(frozen=True)
class MeasuredTimes:
    """How many times as long as planned a batch's clip and a GOP took, and plain seconds of the rest."""

    clip_factor: float | None
    gop_factor: float | None
    sound: float | None
    portrait: float | None
    features: float | None
    records: int

    def apply(self, times: CallTimes) -> CallTimes:
        """The times as measured, where it was."""
        changes = {
            "seconds_per_gop": times.seconds_per_gop * self.gop_factor if self.gop_factor else None,
            "batch": times.seconds_per_clip * self.clip_factor if self.clip_factor else None,
            "call": 0.0 if self.clip_factor else None,  # a record's time is the whole call's
            "sound": self.sound,
            "portrait": self.portrait,
            "features": self.features,
        }
        return replace(times, **{name: value for name, value in changes.items() if value is not None})


def measure(
    store: Store,
    titles: Iterable[TitleFolders],
    family: str,
    chain_device: str | None = None,
    upscale_device: str | None = None,
) -> MeasuredTimes:
    """What the records of an output say. Raises UserError where there are none of use.

    Medians, so that a machine that was slow for a while does not count. `family` and the devices are those that is
    planned for: a measured time is taken as a factor of the planned one, so that other options can be planned from it.
    """
    found: dict[str, list[float]] = defaultdict(list)
    for one in titles:
        options = _options(store, one)
        if options is None:
            continue
        planned_clip = costs.clip_seconds(costs.speed_of(FAMILIES[family], chain_device), options)
        planned_frame = costs.frame_seconds(costs.speed_of(FAMILIES[family], upscale_device), options)
        for stage in ("chain", "stream", "sound", "conditioning", "features"):
            for record in _newest(one.view(store, stage)):
                seconds = record.made.get("seconds")
                if not isinstance(seconds, int | float) or seconds <= 0:
                    continue
                match stage:
                    case "chain":
                        found[stage].append(seconds / -(-record.frames // CLIP) / planned_clip)
                    case "stream":
                        found[stage].append(seconds / record.frames / planned_frame)
                    case "sound":
                        found[stage].append(seconds * FPS / record.frames)
                    case _:
                        found[stage].append(seconds)
    if not found:
        raise UserError(f"--calibrate {store}: no records of finished work; expected an output of a former run")
    middle = {stage: median(values) for stage, values in found.items()}
    return MeasuredTimes(
        clip_factor=middle.get("chain"),
        gop_factor=middle.get("stream"),
        sound=middle.get("sound"),
        portrait=middle.get("conditioning"),
        features=middle.get("features"),
        records=sum(map(len, found.values())),
    )


def _options(store: Store, folders: TitleFolders) -> Options | None:
    """The options that a title was made with: of its plan, or of its report."""
    if folders.plan:
        return folders.plan.options
    report = read_json(store, f"{folders.title}/report.json") or {}
    values = report.get("options")
    return Options.reported(values) if isinstance(values, dict) else None


def _newest(view: StageView | None) -> Iterator[Record]:
    """The last records of a stage, as far as they can be read."""
    yield from view.records(view.firsts[-SAMPLES:], skip=lambda first, error: None) if view else ()
