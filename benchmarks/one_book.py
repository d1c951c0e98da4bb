"""`python -m benchmarks.one_book`: one title of ten hours in scenes, on 1 to 32 chain workers, against its bound.

Simulated with the scheduler that would render it, on a virtual clock. No schedule is faster than the chains' work
shared out evenly, or than the longest scene from its preparing to its last GOP; the sound comes before both, the
upscaling of a last GOP and the finished file after them.

With `--real` a title of 8 scenes is rendered by stand-ins of fixed time (`benchmarks.stand_ins`) on a local cluster.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import click
import numpy as np

from pipeline.core.timeline import CLIPS_PER_GOP, FPS, GOP, gops_of
from pipeline.forecast.call_times import CallTimes
from pipeline.forecast.simulate import Title, simulate
from pipeline.scheduler.pools import Limits
from pipeline.scheduler.title_work import TitleWork
from pipeline.titles.scene_borders import every

HOURS, MINUTES = 10, 10
CLIP, UPSCALED = 4.0, 6.0  # seconds of a clip and of a GOP: about what an H100 is expected to take in `exact`
WORKERS = (1, 4, 16, 32)
LANES = 2  # of a stand-in's batch, which takes as long whether one is empty
TIMES = CallTimes(seconds_per_clip=CLIP, seconds_per_gop=UPSCALED)


@dataclass(frozen=True)
class Row:
    """Seconds. `share`: of the bound, in what it took; 1 is as fast as can be."""

    workers: int
    scenes: int
    makespan: float
    bound: float
    evenly: float  # the chains' work, shared out
    longest: float  # the longest scene

    @property
    def share(self) -> float:
        return self.bound / self.makespan


def simulated(workers: int, seed: int = 1) -> Row:
    frames = HOURS * 3600 * FPS
    energies = np.random.default_rng(seed).integers(0, 1000, frames)
    firsts = [*every(energies, MINUTES), gops_of(frames)]
    gops = [stop - first for first, stop in pairwise(firsts)]

    def work(name: str, count: int, **more: object) -> TitleWork:
        blocks = -(-count * GOP // 1500)
        return TitleWork(name, 0, count, blocks, 10, **more)  # type: ignore[arg-type]

    scenes = tuple(
        Title(work(f"book@{number}", count, film="book", first=firsts[number]), count * CLIPS_PER_GOP, TIMES)
        for number, count in enumerate(gops)
    )
    book = Title(work("book", sum(gops), in_scenes=True), sum(gops) * CLIPS_PER_GOP, TIMES, None, scenes)
    limits = Limits(prepare=4, chain=workers, upscale=4 * workers, upscale_after=4 * workers, publish=2)
    run = simulate([book], limits)
    if run.unfinished:
        raise RuntimeError(f"not rendered: {run.unfinished}")
    gop = CLIPS_PER_GOP * TIMES.seconds_per_clip + TIMES.call
    around = TIMES.sound * HOURS * 3600 + UPSCALED + TIMES.finish + TIMES.finish_gop * sum(gops)
    prepared = TIMES.portrait + TIMES.features
    evenly, longest = sum(gops) * gop / workers, max(gops) * gop + prepared
    return Row(workers, len(gops), run.makespan, max(evenly, longest) + around, evenly, longest)


@dataclass(frozen=True)
class Real:
    """Seconds from when the sound and the chain workers were ready, and the least that they could take."""

    scenes: int
    workers: int
    gops: int
    makespan: float
    bound: float


def real(workers: int = 4, scenes: int = 8, gops: int = 11) -> Real:
    """One title of equal scenes on a local cluster: what its chains take beyond their work shared out evenly."""
    from benchmarks import stand_ins
    from benchmarks.makespan import GOP_CHAIN, GOP_SECONDS, Size, render, write_catalog
    from cluster import local

    stand_ins.register()
    size = Size(workers, LANES, 2 * workers)
    with (
        tempfile.TemporaryDirectory(prefix="longtake-book-") as name,
        local.running(local.Shape(2, -(-3 * workers // 2), -(-3 * workers // 2))) as cluster,
    ):
        manifest = write_catalog(Path(name), [scenes * gops], stand_ins.SLOW)
        text = json.loads(manifest.read_text())
        chapters = [{"at": number * gops * GOP / FPS, "title": f"{number}"} for number in range(scenes)]
        text["titles"][0]["chapters"] = chapters
        text["defaults"]["scenes"] = "chapters"
        manifest.write_text(json.dumps(text))
        record, _, _, _ = render(manifest, cluster.address, size, stand_ins.SLOW)
    calls = [call for call in record.calls() if call[1] == "chain"]
    ready = max(record.ready()[worker] for worker in {call[0] for call in calls})
    start = max(ready, min(at for _, _, at, _, _ in calls))  # the sound is made by then
    ended = max(at for _, kind, _, at, _ in record.calls() if kind == "finish")
    left = sum(len(units) for *_, at, units in calls if at > start)
    publish = min(one.seconds for *_, units in record.calls() for one in units if one.kind == "finish")
    bound = stand_ins.SLOWER * (left * GOP_CHAIN / (workers * LANES) + GOP_SECONDS) + publish
    return Real(scenes, workers, left, ended - start, bound)


@click.command()
@click.option("--real", "on_ray", is_flag=True, help="Render 8 scenes on 4 chain workers of a local cluster.")
@click.option("--json", "as_json", is_flag=True)
def main(on_ray: bool, as_json: bool) -> None:
    if on_ray:
        found = real()
        text = (
            f"{found.scenes} scenes, {found.workers} chain workers: {found.makespan:.1f} s, bound {found.bound:.1f} s"
        )
        click.echo(json.dumps(asdict(found)) if as_json else f"{text}, {found.makespan / found.bound - 1:+.1%}")
        return
    rows = [simulated(workers) for workers in WORKERS]
    if as_json:
        click.echo(json.dumps([asdict(row) | {"share": row.share} for row in rows]))
        return
    click.echo(f"{HOURS} h in {rows[0].scenes} scenes, {CLIP:g} s a clip, {UPSCALED:g} s to upscale a GOP")
    click.echo("chain workers   takes      bound      of it the work / longest scene   bound / takes")
    for row in rows:
        click.echo(
            f"{row.workers:13}   {row.makespan / 3600:5.2f} h    {row.bound / 3600:5.2f} h    "
            f"{row.evenly / 3600:6.2f} h / {row.longest / 3600:4.2f} h             {row.share:.3f}"
        )


if __name__ == "__main__":
    main()
