"""Titles with their scenes: what befalls a scene, and what is made of it, is its title's.

To everything else in the scheduler a scene is a title, `book@3`, which nobody publishes. Its title has no chain of its
own; what it upscales are its joins, the GOPs in which one scene becomes the next.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

from pipeline.core.pieces import count_shown, pieces
from pipeline.scheduler.title_state import TitleState
from pipeline.scheduler.title_work import TitleWork
from pipeline.scheduler.work import Done, Reason, Scanned


class Films:
    """`titles` by id; `states` are theirs and those of their scenes, by name."""

    def __init__(self, titles: Iterable[TitleWork]):
        self.titles = {title.id: TitleState(title) for title in titles}
        self.states = dict(self.titles)

    def film_of(self, name: str) -> str:
        """The title that a scene belongs to; a title's own name."""
        return self.states[name].work.film or name

    def parts_of(self, name: str) -> tuple[str, ...]:
        """The title that a title or scene belongs to, and all of its scenes."""
        film = self.film_of(name)
        return film, *self.titles[film].scenes

    def scenes(self) -> dict[str, TitleWork]:
        """Of all titles, as far as it is known where they begin."""
        films = (title for title in self.titles.values() if title.scenes)
        return {name: self.states[name].work for film in films for name in film.scenes}

    def told(self, reason: Reason) -> Reason:
        """What befell a scene, said of its title."""
        film = self.film_of(reason.title)
        if film == reason.title:
            return reason
        scene = f"scene {reason.title.rpartition('@')[2]}"
        place = f"{scene}, {reason.place}" if reason.place else scene
        return replace(reason, title=film, text=f"{scene}: {reason.text}", place=place)

    def load(self, found: Scanned) -> None:
        """What the store holds of a title and of its scenes, which are known from now on."""
        film = self.titles[found.title]
        for work, one in found.scenes:
            state = self.states.setdefault(work.id, TitleState(work))
            state.work, state.visit = work, film.visit
            state.load(one)
            _close(state)
        film.load(found)
        film.joins, film.joinable = set(), set()
        self._find_joins(film)

    def commit(self, item: Done) -> tuple[str, ...]:
        """Take in what was made; names of the other scenes, where one of them may have become the longest."""
        state = self.states[item.title]
        state.commit(item)
        _close(state)
        if not state.work.film:
            return ()
        film, gop = self.titles[state.work.film], state.work.first + item.unit
        film.chained = sum(
            count_shown(scene.work.shown_gops, scene.chained) for scene in (self.states[name] for name in film.scenes)
        )
        if item.kind == "upscale" and gop not in film.joins:
            film.stream(gop)
        if item.kind == "chain":
            self._find_joins(film)
        return film.scenes if state.chained == state.work.gops else ()

    def _find_joins(self, film: TitleState) -> None:
        """Where the title's scenes dissolve into each other, and which of these GOPs can be made."""
        scenes = [self.states[name] for name in film.scenes] if film.work.joined else []
        for before, after in pairwise(pieces(scene.work.in_film for scene in scenes)):
            ends, begins = scenes[before.scene], scenes[after.scene]
            gop = before.stop - 1
            film.joins.add(gop)
            if ends.work.first + ends.chained >= before.stop and begins.work.first + begins.chained > after.first:
                film.joinable.add(gop)


def _close(state: TitleState) -> None:
    """A scene is over when its last fragment is there: what is published is the title."""
    state.done = state.done or (bool(state.work.film) and state.streamed == state.work.gops)
