"""A simulated run as a picture: a line for every worker, a bar for every title on it. As SVG or PNG."""

from __future__ import annotations

import colorsys
import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from itertools import groupby
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from pipeline.core.errors import UserError
from pipeline.forecast.simulate import Call, Simulation
from pipeline.scheduler.work import ROLES

WIDTH, LEFT, TOP, RIGHT, BOTTOM = 1200, 120, 34, 16, 30  # pixels of the whole and of its margins
MOST_ROWS = 400  # workers that are drawn; the busiest of each role first
TALLEST, LOWEST = 14, 2  # pixels of a row
UNITS = (("h", 3600), ("min", 60), ("s", 1))
LOST, LIFE, INK, GRID = "#d62728", "#eeeeee", "#333333", "#dddddd"


@dataclass(frozen=True)
class Bar:
    x: float
    y: float
    width: float
    height: float
    colour: str
    label: str


@dataclass(frozen=True)
class Text:
    x: float
    y: float
    words: str
    anchor: str = "start"


@dataclass(frozen=True)
class Drawing:
    width: int
    height: int
    bars: tuple[Bar, ...]
    texts: tuple[Text, ...]


def draw(run: Simulation) -> Drawing:
    """The picture as bars and words, in pixels."""
    rows = _rows(run)
    height = max(LOWEST, min(TALLEST, 640 // max(1, len(rows))))
    scale = (WIDTH - LEFT - RIGHT) / max(run.makespan, 1e-9)
    bars: list[Bar] = []
    unit, seconds = next((name, size) for name, size in UNITS if run.makespan >= 2 * size or size == 1)
    texts = [
        Text(LEFT, 18, f"{run.makespan / seconds:.1f} {unit}, {len(run.done)} titles, {len(run.workers)} workers"),
    ]
    bottom = TOP + len(rows) * height
    for tick in range(5):
        x = LEFT + tick / 4 * (WIDTH - LEFT - RIGHT)
        bars.append(Bar(x, TOP, 1, bottom - TOP, GRID, ""))
        texts.append(Text(x, bottom + 18, f"{run.makespan * tick / 4 / seconds:.1f} {unit}", "middle"))
    place = {name: TOP + number * height for number, name in enumerate(rows)}
    for name, y in place.items():
        life = run.workers[name]
        end = run.makespan if life.ended is None else life.ended
        bars.append(
            Bar(LEFT + life.asked * scale, y, (end - life.asked) * scale, height - 0.5, LIFE, f"{name}: starting")
        )
    for worker, title, start, end, lost in spans(run):
        if worker in place:
            label = f"{worker}: {title}, {start:.0f} to {end:.0f} s" + (", machine taken away" if lost else "")
            colour = LOST if lost else _colour(title)
            bars.append(Bar(LEFT + start * scale, place[worker], (end - start) * scale, height - 0.5, colour, label))
    for role, names in groupby(rows, key=lambda name: run.workers[name].role):
        first = next(names)
        texts.append(Text(LEFT - 8, place[first] + 11, f"{role} {run.utilisation(role):.0%}", "end"))
    return Drawing(WIDTH, bottom + BOTTOM, tuple(bars), tuple(texts))


def spans(run: Simulation) -> Iterator[tuple[str, str, float, float, bool]]:
    """(worker, title, from, to, lost): calls of a worker on one title that follow each other closely, as one."""
    close = run.makespan / (WIDTH - LEFT - RIGHT)

    def title(call: Call) -> str:
        return call.titles[0] if len(call.titles) == 1 else f"{call.titles[0]} and {len(call.titles) - 1} more"

    calls = sorted(run.calls, key=lambda call: (call.worker, call.start))
    for worker, mine in groupby(calls, key=lambda call: call.worker):
        held: tuple[str, str, float, float, bool] | None = None
        for call in mine:
            if held and held[1] == title(call) and not held[4] and call.start - held[3] <= close:
                held = (worker, held[1], held[2], call.end, call.lost)
                continue
            if held:
                yield held
            held = (worker, title(call), call.start, call.end, call.lost)
        if held:
            yield held


def _rows(run: Simulation) -> list[str]:
    """Workers to draw, by role and in the order in which they were asked for."""
    busiest = sorted(run.workers, key=lambda name: -run.workers[name].busy)[:MOST_ROWS]
    return sorted(busiest, key=lambda name: (ROLES.index(run.workers[name].role), run.workers[name].asked, name))


def _colour(title: str) -> str:
    """The same for a title wherever it is."""
    hue = hashlib.sha256(title.encode()).digest()[0] / 256
    return "#" + "".join(f"{round(255 * part):02x}" for part in colorsys.hls_to_rgb(hue, 0.55, 0.6))


def svg(picture: Drawing) -> str:
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{picture.width}" height="{picture.height}" '
        f'viewBox="0 0 {picture.width} {picture.height}" font-family="sans-serif" font-size="11" fill="{INK}">',
        f'<rect width="{picture.width}" height="{picture.height}" fill="white"/>',
    ]
    for bar in picture.bars:
        box = f'x="{bar.x:.2f}" y="{bar.y:.2f}" width="{max(bar.width, 0.3):.2f}" height="{bar.height:.2f}"'
        lines.append(f'<rect {box} fill="{bar.colour}"><title>{escape(bar.label)}</title></rect>')
    for text in picture.texts:
        lines.append(f'<text x="{text.x:.1f}" y="{text.y:.1f}" text-anchor="{text.anchor}">{escape(text.words)}</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"


def png(picture: Drawing) -> bytes:
    image = Image.new("RGB", (picture.width, picture.height), "white")
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(11)
    for bar in picture.bars:
        pen.rectangle((bar.x, bar.y, bar.x + max(bar.width, 0.3), bar.y + bar.height - 0.5), fill=bar.colour)
    anchors = {"start": "ls", "middle": "ms", "end": "rs"}
    for text in picture.texts:
        pen.text((text.x, text.y), text.words, fill=INK, font=font, anchor=anchors[text.anchor])
    data = io.BytesIO()
    image.save(data, "PNG", optimize=True)
    return data.getvalue()


def check_name(path: str) -> None:
    """Raises UserError for a file of another kind, before anything is computed."""
    if not path.lower().endswith((".svg", ".png")):
        raise UserError(f"--gantt {path}: expected a name that ends in .svg or .png")


def write(run: Simulation, path: str) -> None:
    """Raises UserError where the file cannot be written."""
    check_name(path)
    picture = draw(run)
    data = svg(picture).encode() if path.lower().endswith(".svg") else png(picture)
    try:
        Path(path).write_bytes(data)
    except OSError as error:
        raise UserError(f"--gantt {path}: {error.strerror}; choose a file in a folder that you may write to") from error
