"""Content credentials of a finished file: signed once, and the same statement in every file made after."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from actors.inputs import fetch_input
from pipeline import __version__
from pipeline.core.errors import SetupError
from pipeline.provenance.credentials import Credentials, Ingredient, put_statement, read_statement, sign, statement_of
from pipeline.provenance.signing_identity import CERTIFICATE, identity, signer_name
from pipeline.store.store import Store
from pipeline.titles.report import ingredients
from pipeline.titles.title_plan import TitlePlan

MOST_NAMED = 100  # sound files that stand as ingredients of their own; all are named by their hashes
UNTRUSTED = (
    "the content credentials are signed by an identity that viewers call untrusted; to publish under a name of your "
    "own set LONGTAKE_CREDENTIALS_CERT and LONGTAKE_CREDENTIALS_KEY"
)


def signed(store: Store, plan: TitlePlan, final: Path, alive: Callable[[], None]) -> tuple[Path, Credentials | None]:
    """The file with signed credentials, and what they say, where marks are on; `final` is then gone.

    Nothing is read once more: what the credentials say stands in their statement. Whoever signs first keeps that in
    the store; who comes later puts it into its own file, so all files are equal.
    """
    if not plan.marks.wanted:
        return final, None
    if (name := signer_name()) != plan.signer:
        raise SetupError(
            f"{CERTIFICATE}: this machine signs with {_told(name)}, title {plan.id} was planned with "
            f"{_told(plan.signer)}; set the same certificate and key on every node, or on none"
        )
    target = final.with_name(f"signed-{final.name}")
    facts = {"title": plan.id, **plan.marks.said(), **ingredients(plan)}
    with tempfile.TemporaryDirectory(prefix="longtake-") as folder:
        whole = sign(
            final,
            target,
            identity(),
            title=plan.id,
            software="Longtake",
            version=__version__,
            facts=facts,
            ingredients=_ingredients(store, plan, Path(folder), alive),
            alive=alive,
        )
    final.unlink()
    box = statement_of(target)[1]
    key = f"{plan.prefix('stream').rsplit('/', 1)[0]}/credentials-{plan.hashes.file[:8]}-{whole[:16]}.c2pa"
    if not store.create(key, box) and put_statement(target, first := store.get(key)):
        box = first  # one of another length, by a time stamp of another length, cannot take its place: ours stays
    return target, read_statement(box)


def _told(name: str) -> str:
    return f"identity {name}" if name else "an identity made up for the occasion"


def _ingredients(store: Store, plan: TitlePlan, folder: Path, alive: Callable[[], None]) -> Iterator[Ingredient]:
    """The inputs, one at a time on disk."""
    files = [
        *(("portrait" if n == 0 else f"portrait {n + 1}", one) for n, one in enumerate(plan.portraits[:MOST_NAMED])),
        *((f"audio {n + 1}", one) for n, one in enumerate(plan.audio[:MOST_NAMED])),
    ]
    for name, stored in files:
        alive()
        path = fetch_input(store, stored, folder, f"title {plan.id}: {name}")
        yield Ingredient(name, path, stored.sha256)
        path.unlink()
