"""Curves over time as one picture: a small chart for each, all with the same axis of time, as SVG."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from typing import cast

WIDTH, HEIGHT, LEFT, GAP = 900, 96, 60, 34  # pixels of a chart, and around it
NAMES = {
    "lips": "Opening of the lips, of the face's height",
    "lips_sync": "Lips against the sound, r around the moment",
    "lids": "Opening of the lids, of the eye's width",
    "gaze": "Gaze away from its middle, of the eye's width",
    "head": "Head away from its first place, of the face's width",
    "swim": "Swim of bridge and eyes, of the face's height",
    "mouth_detail": "Detail of the mouth, of the face's",
    "face_sharpness": "Sharpness of the face, of the portrait's",
    "likeness_distance": "Distance to the portrait",
    "without_a_face": "Frames without a face, share",
}


def drawn(measured: Mapping[str, object]) -> str:
    """Of what `measured` holds under `per_second`."""
    told = cast(Mapping[str, list[float | None]], measured["per_second"])
    curves = {name: told[name] for name in NAMES if name in told}
    seconds = max((len(values) for values in curves.values()), default=0)
    charts = [_chart(NAMES[name], values, row, seconds) for row, (name, values) in enumerate(curves.items())]
    height, width = len(curves) * (HEIGHT + GAP) + GAP, LEFT + WIDTH + 20
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            'font-family="sans-serif" font-size="12">',
            f'<rect width="{width}" height="{height}" fill="#fff"/>',
            f"<title>{escape(str(measured['title']))}</title>",
            *charts,
            f'<text x="{LEFT}" y="{height - 12}">0</text>',
            f'<text x="{LEFT + WIDTH}" y="{height - 12}" text-anchor="end">{seconds} s</text>',
            "</svg>\n",
        ]
    )


def _chart(name: str, values: list[float | None], row: int, seconds: int) -> str:
    top = row * (HEIGHT + GAP) + 24
    there = [value for value in values if value is not None]
    low, high = min(there, default=0.0), max(there, default=1.0)
    reach = high - low or 1.0

    def place(second: int, value: float) -> str:
        return f"{LEFT + WIDTH * (second + 0.5) / seconds:.1f},{top + HEIGHT * (1 - (value - low) / reach):.1f}"

    lines = [
        f'<polyline points="{" ".join(run)}" fill="none" stroke="#1f5fa8" stroke-width="1.5" stroke-linejoin="round"/>'
        if len(run) > 1
        else f'<circle cx="{run[0].split(",")[0]}" cy="{run[0].split(",")[1]}" r="1.5" fill="#1f5fa8"/>'
        for run in _runs(values, place)
    ]
    return "\n".join(
        [
            f'<text x="{LEFT}" y="{top - 7}">{escape(name)}</text>',
            f'<rect x="{LEFT}" y="{top}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#ccc"/>',
            f'<text x="{LEFT - 6}" y="{top + 10}" text-anchor="end">{high:.3g}</text>',
            f'<text x="{LEFT - 6}" y="{top + HEIGHT}" text-anchor="end">{low:.3g}</text>',
            *lines,
        ]
    )


def _runs(values: list[float | None], place: Callable[[int, float], str]) -> list[list[str]]:
    """Stretches of seconds that have a value."""
    runs: list[list[str]] = [[]]
    for second, value in enumerate(values):
        if value is None:
            runs.append([])
        else:
            runs[-1].append(place(second, value))
    return [run for run in runs if run]
