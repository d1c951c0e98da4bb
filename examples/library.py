"""Longtake from a program or a notebook: plan two titles, render them, check what came out.

python examples/library.py [OUTPUT]
"""

import sys
from pathlib import Path

from pipeline import api

catalog = api.load(Path(__file__).with_suffix(".yaml"), output=sys.argv[1] if len(sys.argv) > 1 else None)
plan = api.plan(catalog, accept_crop=True)
print(f"{len(plan.titles)} titles, {plan.frames} frames, about {plan.total()['wall_seconds']:.0f} s")


def show(event: api.Event) -> None:
    match event:
        case api.GopDone(title, "upscale", _, done, gops):
            print(f"{title}: {done / gops:4.0%}")
        case api.TitleDone(title, file) | api.TitleFailed(title, file):
            print(f"{title}: {file}")


api.render(catalog, accept_crop=True, executor="inline", on_event=show).check()
checked = api.verify(catalog)
print("no faults" if checked.ok else checked.titles)
