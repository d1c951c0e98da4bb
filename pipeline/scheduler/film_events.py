"""Events as they concern titles: what workers say of a scene, said of its title, for those who watch a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from pipeline.scheduler.title_work import TitleWork
from pipeline.scheduler.work import Done, Event, Finished, Outcome, Progress


def of_titles(events: Iterable[Event], scenes: Mapping[str, TitleWork]) -> list[Event]:
    """The same events; a scene's units are numbered from the first GOP that it has in its title."""
    if not scenes:
        return list(events)
    return [_of_title(event, scenes) for event in events]


def _of_title(event: Event, scenes: Mapping[str, TitleWork]) -> Event:
    match event:
        case Progress(done):
            return Progress(tuple(_moved(one, scenes) for one in done))
        case Finished(worker, outcomes):
            return Finished(worker, tuple(_outcome(one, scenes) for one in outcomes))
    return event


def _outcome(outcome: Outcome, scenes: Mapping[str, TitleWork]) -> Outcome:
    job, done = outcome.job, tuple(_moved(one, scenes) for one in outcome.done)
    if scene := scenes.get(job.title):
        job = replace(job, title=scene.film, first=scene.first + job.first)
    return replace(outcome, job=job, done=done)


def _moved(done: Done, scenes: Mapping[str, TitleWork]) -> Done:
    scene = scenes.get(done.title)
    return replace(done, title=scene.film, unit=scene.first + done.unit) if scene else done
