"""Draws the diagrams of docs/: `python docs/_site/drawings.py` writes them, a test keeps them current.

The packages and their order are read from the contracts in pyproject.toml that `make check` enforces.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Sequence
from html import escape
from pathlib import Path
from textwrap import shorten, wrap

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1c2733}.name{font-weight:600}.small{font-size:12px;fill:#44525f}"
    "rect{rx:5;stroke:#7f8ea0;fill:#fff}.paper{fill:#f6f8fa;stroke:none}.store{fill:#fff4d6}.core{fill:#e7f0ff}"
    "path{stroke:#44525f;fill:none;stroke-width:1.5;marker-end:url(#tip)}"
)
TIP = (
    '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
    '<path d="M0 0 8 4 0 8z" style="fill:#44525f;stroke:none"/></marker>'
)


def box(x: int, y: int, width: int, height: int, name: str, lines: Sequence[str] = (), kind: str = "") -> str:
    """A name and lines of text below it, in a frame."""
    parts = [f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}"/>']
    parts.append(f'<text class="name" x="{x + 10}" y="{y + 19}">{escape(name)}</text>')
    for number, line in enumerate(lines):
        parts.append(f'<text class="small" x="{x + 10}" y="{y + 37 + 16 * number}">{escape(line)}</text>')
    return "\n".join(parts)


def arrow(*points: tuple[int, int]) -> str:
    return f'<path d="M{" L".join(f"{x} {y}" for x, y in points)}"/>'


def note(x: int, y: int, text: str) -> str:
    return f'<text class="small" x="{x}" y="{y}">{escape(text)}</text>'


def drawing(width: int, height: int, title: str, parts: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="{title}">'
    paper = f'<rect class="paper" width="{width}" height="{height}"/>'
    return "\n".join([head, f"<style>{STYLE}</style><defs>{TIP}</defs>", paper, *parts, "</svg>\n"])


def layers() -> list[str]:
    """Packages and modules of `pipeline/`, from the top down; neighbours in one layer as `a | b`."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    found: list[str] = next(one["layers"] for one in contracts if one.get("containers") == ["pipeline"])
    return found


def what_is(name: str) -> str:
    """The first sentence that a package or module says of itself."""
    path = ROOT / "pipeline" / name
    text = ast.get_docstring(
        ast.parse((path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text())
    )
    return shorten((text or "").split("\n")[0].split(". ")[0].strip(".").replace("`", ""), 76, placeholder=" …")


def packages() -> str:
    left, wide, step = 20, 610, 34
    parts, y = [note(left, 28, "pipeline/: each layer imports only those below it")], 42
    places: dict[str, int] = {}
    for layer in layers():
        names = [name.strip() for name in layer.split("|")]
        if len(names) > 1:
            lines = wrap(" · ".join(names), 88)
            parts.append(box(left, y, wide, 30 + 16 * len(lines), "commands, one a file", lines))
            y += 38 + 16 * len(lines)
            continue
        places[layer] = y
        parts.append(box(left, y, wide, 28, layer, (), "core" if (ROOT / "pipeline" / layer).is_dir() else ""))
        parts.append(note(left + 110, y + 19, what_is(layer)))
        y += step
    right, middle = left + wide + 70, places["wiring"]
    parts.append(
        box(
            right,
            middle - 8,
            250,
            78,
            "actors/",
            ["prepare, chain, upscale, publish:", "plain classes; Ray wraps them"],
        )
    )
    parts.append(arrow((left + wide, middle + 14), (right, middle + 14)))
    parts.append(note(left + wide + 8, middle + 6, "makes"))
    parts.append(
        box(
            right,
            middle + 150,
            250,
            62,
            "models/",
            ["networks, in torch; knows nothing", "of Ray, stores or manifests"],
        )
    )
    parts.append(arrow((right + 125, middle + 70), (right + 125, middle + 150)))
    parts.append(note(right + 133, middle + 114, "loads by name"))
    store = places["store"]
    parts.append(
        arrow((right, middle + 50), (right - 30, middle + 50), (right - 30, store + 14), (left + wide, store + 14))
    )
    parts.append(note(right - 22, store + 10, "reads and writes what is rendered"))
    return drawing(right + 270, y + 10, "Packages of Longtake and who imports whom", parts)


STAGES = (
    ("prepare", "portrait: conditioning", "sound: AAC, features", "CPU", "features, sound"),
    ("chain", "sound of clip t and the", "last frames: 16 latents", "one title, in order", "latents, state"),
    ("upscale", "latents: decode, restore,", "enlarge, encode", "any GOP, any order", "fragment"),
    ("publish", "fragments: playlist,", "final.mp4, no re-encoding", "CPU", "final.mp4, hls/"),
)


def frame() -> str:
    parts = [note(20, 28, "Frame 100 of a title: second 4.00, clip 6 (frames 96 to 111), GOP 2 (frames 96 to 143)")]
    for number, (name, *lines, where, stored) in enumerate(STAGES):
        x = 20 + 230 * number
        parts.append(box(x, 44, 200, 84, name, [*lines, where], "core"))
        parts.append(arrow((x + 130, 128), (x + 130, 191)))
        parts.append(note(x + 136, 170, "commits"))
        parts.append(note(x + 90, 216, stored))
        if number:
            parts.append(arrow((x + 40, 192), (x + 40, 129)))
            parts.append(note(x + 4, 156, "reads"))
    parts.insert(0, box(20, 192, 890, 40, "store", (), "store"))
    parts.append(
        note(
            20,
            254,
            "Workers hand each other nothing directly: each reads what the one before has committed to the store.",
        )
    )
    return drawing(930, 268, "The way of one frame", parts)


DRAWINGS = {"packages.svg": packages, "frame.svg": frame}

if __name__ == "__main__":
    for name, draw in DRAWINGS.items():
        (DOCS / name).write_text(draw())
