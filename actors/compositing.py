"""What happens to a title's frames between the restorer and the encoder.

The canvas, a scene that stands larger, captions that are burnt in.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from actors.inputs import fetch_input
from pipeline.core.timeline import FPS, round_half_up
from pipeline.media.burn import Burner
from pipeline.media.canvas import Canvas, fill_planes
from pipeline.media.punch import PunchIn
from pipeline.media.sound_in.padding import in_padded
from pipeline.sources.captions import Cue, cut, read_captions
from pipeline.sources.portrait import read_portrait
from pipeline.store.record import Stored
from pipeline.store.store import Store
from pipeline.titles.scenes import cues_within
from pipeline.titles.title_plan import TitlePlan


class Compositor:
    """Of one title. What it needs of the title's inputs is read once."""

    def __init__(self, store: Store, plan: TitlePlan):
        self._canvas = _canvas(store, plan)
        width, height = plan.options.frame_size
        self._punch = PunchIn(width, height) if plan.scene and plan.scene.larger else None
        self._burner = None
        if plan.options.burn_captions:
            self._burner = Burner(cues_within(read_cues(store, plan), plan.first_frame, plan.frames), width, height)

    def on(self, planes: np.ndarray, frame: int) -> np.ndarray:
        """yuv420p planes of the portrait in frame number `frame` → those of the finished picture."""
        if self._canvas is not None:
            planes = self._canvas.on(planes)
        if self._punch is not None:
            planes = self._punch.on(planes)
        if self._burner is not None:
            planes = self._burner.on(planes, frame)
        return planes


def read_cues(store: Store, plan: TitlePlan) -> tuple[Cue, ...]:
    """The title's captions, up to its end; those of a scene's whole title."""
    if plan.metadata.captions is None:
        return ()
    what = f"title {plan.id}: captions"
    with tempfile.TemporaryDirectory(prefix="longtake-") as folder:
        cues = read_captions(fetch_input(store, plan.metadata.captions, Path(folder), what), what)
    cues = tuple(replace(cue, start=_in_film(cue.start, plan), end=_in_film(cue.end - 1, plan) + 1) for cue in cues)
    return cues if plan.scene else cut(cues, plan.frames * 1000 // FPS)


def _in_film(milliseconds: int, plan: TitlePlan) -> int:
    return round_half_up(1000 * in_padded(Fraction(milliseconds, 1000), plan.audio_facts))


def read_picture(store: Store, plan: TitlePlan, stored: Stored, name: str, reading: str | None = None) -> np.ndarray:
    """A picture that the title names under the key `name`, uint8 [height, width, 3]; `reading` as the plan has it."""
    what = f"title {plan.id}: {name}"
    with tempfile.TemporaryDirectory(prefix="longtake-") as folder:
        return read_portrait(fetch_input(store, stored, Path(folder), what), what, reading)


def _canvas(store: Store, plan: TitlePlan) -> Canvas | None:
    placing, options = plan.options.placing, plan.options
    if placing is None:
        return None
    image = None
    if plan.canvas_image:
        image = read_picture(store, plan, plan.canvas_image, "canvas_fill", plan.canvas_reading)
    portrait = read_picture(store, plan, plan.portrait, "portrait", plan.portrait_reading)
    return Canvas(placing, fill_planes(placing, options.canvas_fill, portrait, image), options.resolution)
