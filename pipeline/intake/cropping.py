"""Portraits of which the middle would be cut out unseen: nothing finds the face, nobody says where it is.

A chain works on a square around the face. Where the family's weights have nothing that finds faces, and no `face_box`
is given, that is the largest square in the middle: of a wide or tall picture it may hold half a face, or a wall.
"""

from __future__ import annotations

from collections.abc import Iterable

from models.families.protocol import Family
from pipeline.core.errors import Problem
from pipeline.intake.survey import plan_title
from pipeline.intake.title_inputs import TitleInputs
from pipeline.intake.weight_intake import cached_weights
from pipeline.intake.weight_tree import FoundTree
from pipeline.manifest.catalog import Catalog
from pipeline.sources.inputs import name_of
from pipeline.store.store import Store
from pipeline.titles.earlier import earlier
from pipeline.titles.gate_choice import as_begun

_REMEDY = (
    "expected face_box: [x, y, width, height] beside it, in pixels from the top left corner of the upright picture; "
    "or --accept-crop, where the face is in the middle"
)
MOST_CROPPED = 0.05  # of the longer edge: what a hand that cuts a square may be off by


def without_blind_crops(
    catalog: Catalog, store: Store, family: Family, inputs: Iterable[TitleInputs], found: FoundTree | None
) -> tuple[list[TitleInputs], list[Problem]]:
    """The titles whose face is known or likely to be in the middle, and what is wrong with the others.

    A title that has begun goes on as it began: what is rendered of it shows how the portrait was cut.
    """
    kept, problems = [], []
    for one in inputs:
        if finds_faces(family, found) or not _cut_blindly(family, one) or _begun(catalog, store, family, one):
            kept.append(one)
        else:
            for key, url, size in _cropped(one):
                place, text = catalog.place(f"{one.title.key}.{key}"), _text(family, name_of(url), *size)
                problems.append(Problem(place, text, _REMEDY, kind="portrait", title=one.title.id))
    return kept, problems


def finds_faces(family: Family, found: FoundTree | None) -> bool:
    """Whether these weights find the face in a portrait; weights that nobody has looked at count as whole."""
    networks = [one.file.network for one in found.files] if found else [file.network for file in family.tree]
    return any(name in family.face_finders for name in networks)


def _cut_blindly(family: Family, inputs: TitleInputs) -> bool:
    """Whether so much of a portrait is cut off that its face may be. Families without networks show no face."""
    return family.networks is not None and bool(_cropped(inputs))


def _cropped(inputs: TitleInputs) -> list[tuple[str, str, tuple[int, int]]]:
    """Portraits that are no squares, without a box: key, address, width and height."""
    found = [(key, one.url, size) for key, (one, size, _) in inputs.other_portraits.items()]
    if inputs.title.options.face_box is None:
        found.insert(0, ("portrait", inputs.portrait.url, inputs.portrait_size))
    return [one for one in found if min(one[2]) < (1 - MOST_CROPPED) * max(one[2])]


def _begun(catalog: Catalog, store: Store, family: Family, inputs: TitleInputs) -> bool:
    weights = cached_weights(family, catalog.weights, store)
    if weights is None:  # nothing was ever rendered with them
        return False
    plan = as_begun(store, plan_title(family, inputs, weights))
    own = (("chain", plan.hashes.chain), ("stream", plan.hashes.stream))
    known = any(value[:16] in store.folders(f"{plan.id}/{stage}") for stage, value in own)
    return known or earlier(store, plan) is not None


def _text(family: Family, file: str, width: int, height: int) -> str:
    short, long = sorted((width, height))
    unit = "columns" if width > height else "rows"
    return (
        f"{file} has {width}x{height} pixels, and nothing in the weights of family {family.name} finds the face: "
        f"the square in its middle would be taken, without {long - short} of {long} {unit}, and maybe without half of "
        "the face"
    )
