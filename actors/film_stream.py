"""The stream of a title in scenes: every scene's fragments at their places in the film, each in a record of its own.

A scene's fragments count time from its own beginning. Where the scene stands later in the film, a copy is stored whose
decode time says so; nothing else of it is another. Whoever publishes, checks or shows the title then finds its stream
where that of every title lies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from actors.parts import side_by_side
from pipeline.core.errors import DamagedObject, MissingObject
from pipeline.core.timeline import GOP, GOP_TICKS
from pipeline.media.fragments import moved
from pipeline.store.ledger import Ledger, new_attempt
from pipeline.store.record import Record
from pipeline.store.stage_view import StageView
from pipeline.store.store import Store
from pipeline.titles.joins import joins_of
from pipeline.titles.scenes import read_scenes
from pipeline.titles.title_plan import TitlePlan

_NUMBERED = ("no_face",)  # facts that are frame numbers


def place_fragments(
    store: Store, plan: TitlePlan, gops: int, made: Callable[[], dict[str, object]], alive: Callable[[], None]
) -> None:
    """Have the title's stream hold its first GOPs. Raises DamagedObject where a scene's fragment is gone or damaged."""
    film = StageView(store, plan.prefix("stream"), mend=True).refresh()
    missing = [first for first in range(0, gops * GOP, GOP) if not film.knows(first)]
    if not missing:
        return
    scenes = read_scenes(store, plan)
    if not scenes:
        raise DamagedObject(f"title {plan.id}: the record of its scenes is gone")
    joins = {join.first for join in joins_of(plan, scenes)}
    if lost := joins & set(missing):
        raise DamagedObject(f"title {plan.id}: the record of its join at frame {min(lost)} is gone")
    for scene in scenes:
        assert scene.scene is not None
        mine = [first for first in missing if any(one <= first // GOP < stop for one, stop in scene.scene.shown)]
        if mine:
            _agree_on_headers(store, plan, scene)
            for _ in side_by_side(partial(_place, store, plan, scene, made), _records(store, scene, mine)):
                alive()


def _records(store: Store, scene: TitlePlan, firsts: list[int]) -> Iterator[Record]:
    """The scene's records of these frames of the film."""
    view = StageView(store, scene.prefix("stream"), checkpoint=True)
    for first, found in view.each([first - scene.first_frame for first in firsts]):
        if not isinstance(found, Record):
            raise DamagedObject(f"title {scene.id}: scene {scene.name}: the record of frame {first} is gone")
        yield found


def _place(store: Store, plan: TitlePlan, scene: TitlePlan, made: Callable[[], dict[str, object]], one: Record) -> None:
    assert scene.scene is not None
    theirs, ledger = Ledger(store, scene.prefix("stream")), Ledger(store, plan.prefix("stream"))
    first, attempt = scene.first_frame + one.first, new_attempt()
    objects = {}
    for name, stored in one.objects.items():
        with theirs.voiding(one):
            data = theirs.load(one, name)
        if scene.scene.first:
            data = moved(data, scene.scene.first * GOP_TICKS)
            stored = ledger.stage_object(first, attempt, f"{name}.m4s", data)
        objects[name] = stored
    facts = {name: value for name, value in one.facts.items() if name not in _NUMBERED}
    for name in _NUMBERED:
        if isinstance(numbers := one.facts.get(name), list):
            facts[name] = [scene.first_frame + number for number in numbers]
    ledger.commit(
        Record(
            stage="stream",
            title=plan.id,
            plan=plan.hashes.stream,
            first=first,
            frames=one.frames,
            attempt=attempt,
            objects=objects,
            uses={f"scene/{one.first}": one.objects["fragment"].sha256},
            numerics=one.numerics,
            facts={**facts, "picture": plan.hashes.picture, "scene": scene.hashes.stream},
            made=made(),
        )
    )


def end_scenes(store: Store, plan: TitlePlan, made: Callable[[], dict[str, object]]) -> None:
    """Say of every scene that all of it is there: it is kept as it is, whatever becomes of what it was made of."""
    for scene in read_scenes(store, plan):
        record = Record(
            stage="scene",
            title=plan.id,
            plan=scene.hashes.stream,
            first=0,
            frames=scene.frames,
            attempt=new_attempt(),
            objects={},
            facts={"kept": plan.options.keep},
            made=made(),
        )
        Ledger(store, scene.prefix("scene")).commit(record)


def _agree_on_headers(store: Store, plan: TitlePlan, scene: TitlePlan) -> None:
    """All scenes' fragments follow the same header, which is the film's, too."""
    for one in plan.renditions:
        key, theirs = plan.init_key(one.suffix), scene.init_key(one.suffix)
        try:
            header = store.get(theirs)
        except MissingObject as error:
            raise DamagedObject(f"title {plan.id}: {theirs} is gone, without which nothing is decoded") from error
        if not store.create(key, header) and store.get(key) != header:
            raise DamagedObject(
                f"title {plan.id}: {theirs} is another header than {key}: the scenes were encoded by different builds; "
                "render the title with one encoder build: `--renew` makes all of it anew"
            )
