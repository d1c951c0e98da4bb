"""A title that another version of Longtake has finished or begun: asked for as now, made with something else.

What is finished is kept. What is half done goes on under its own plan where this version can make the rest of it, else
it waits until somebody asks for it anew. Plans leave a note beside their stream, `plan.json`, when they begin.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from pipeline.store.ledger import Ledger
from pipeline.store.record import Stored
from pipeline.store.store import Store
from pipeline.titles.lost_objects import lost
from pipeline.titles.requested import pictures_of, plain, reported, requested_of, same
from pipeline.titles.title_folders import TitleFolders, folders_in_output, read_json, readable
from pipeline.titles.title_hashes import Hashes
from pipeline.titles.title_plan import TitlePlan

# What may have changed where the sound is committed: only what makes sound depends on it.
_OF_SOUND = ("ffmpeg", "sound revision")


@dataclass(frozen=True)
class Change:
    """Something that a plan was made with and that is another one now."""

    name: str
    was: str
    now: str

    def __str__(self) -> str:
        return f"{self.name} {self.was}, now {self.now}"


@dataclass(frozen=True)
class Earlier:
    """What another version left of a title. Exactly one of `kept`, `own` and `why` is given.

    `kept`: its finished stream. `own`: the plan under which it goes on. `why`: what keeps this version from that.
    `changed`: what is another one now.
    """

    stream: str  # first 16 digits of its hash
    changed: tuple[Change, ...] = ()
    kept: TitleFolders | None = None
    own: TitlePlan | None = None
    why: str = ""


def note_plan(store: Store, plan: TitlePlan) -> None:
    """Leave beside the stream what the plan is, once; what a later version needs to go on with it."""
    key = plan_key(plan.id, plan.hashes.stream[:16])
    if store.exists(key):
        return
    facts = {
        "wishes": pictures_of(requested_of(plan)),
        "made_with": plan.made_with(),
        "frames": plan.frames,
        "hashes": asdict(plan.hashes),
        "weights": [[name, asdict(stored)] for name, stored in plan.weights],
        "weights_hash": plan.weights_hash,
        "readings": [plan.portrait_reading, plan.canvas_reading],
        **({"untaken": asdict(plan.untaken)} if plan.untaken else {}),
        **({"gate": plan.gate} if plan.gate else {}),
    }
    store.create(key, (json.dumps(facts, indent=1, sort_keys=True) + "\n").encode())


def earlier(store: Store, plan: TitlePlan) -> Earlier | None:
    """What another version left of the title and still counts; None where this plan is the one to go by.

    That is so once anything of its own stream is there: somebody has asked for it by `--renew`, or wished otherwise.
    """
    streams = store.folders(f"{plan.id}/stream")
    own, requested = plan.hashes.stream[:16], requested_of(plan)
    report = read_json(store, f"{plan.id}/report.json") or {}
    shown = report.get("hashes")
    shown = shown if isinstance(shown, dict) else {}
    stream = str(shown.get("stream"))[:16]
    current = (shown.get("stream"), shown.get("file")) == (plan.hashes.stream, plan.hashes.file)
    if shown and not current and (stream == own or own not in streams):
        told = reported(plan, report, read_json(store, f"{plan.id}/provenance.json") or {})
        done = readable(Ledger(store, f"{plan.id}/stream/{stream}/done"), 0) if stream in streams else None
        if done is not None and told is not None and same(told, requested):
            kept = next((one for one in folders_in_output(store, plan.id) if one.stream_hash == stream), None)
            changed = _changed(plan, read_json(store, plan_key(plan.id, stream)) or {})
            gone = lost(store, done)
            return Earlier(stream, changed, kept=kept if not gone else None, why=gone or "")
    if own in streams:
        return None
    notes = {name: read_json(store, plan_key(plan.id, name)) for name in streams}
    begun = [
        (name, note)
        for name, note in notes.items()
        if note and isinstance(note.get("wishes"), dict) and same(note["wishes"], pictures_of(requested))
    ]
    found = [_begun(store, plan, name, note) for name, note in begun]
    return next((one for one in found if one.own), found[0] if found else None)


def _begun(store: Store, plan: TitlePlan, stream: str, note: Mapping[str, Any]) -> Earlier:
    changed = _changed(plan, note)
    try:
        weights = tuple((str(name), Stored(**stored)) for name, stored in note["weights"])
        hashes = replace(Hashes(**note["hashes"]), file=plan.hashes.file)
        untaken = Hashes(**note["untaken"]) if plan.untaken else None
        theirs = replace(plan, hashes=hashes, untaken=untaken, weights=weights, weights_hash=str(note["weights_hash"]))
        readings = note.get("readings", ["", ""])
        theirs = replace(theirs, portrait_reading=str(readings[0]), canvas_reading=str(readings[1]))
        theirs = replace(theirs, gate=str(note.get("gate", "")))
        frames = note["frames"]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        return Earlier(stream, changed, why=f"{plan_key(plan.id, stream)} is damaged ({type(error).__name__})")
    if frames != plan.frames:
        return Earlier(stream, changed, why=f"its sound counts {frames} frames there, {plan.frames} here")
    of_sound = [str(one) for one in changed if one.name in _OF_SOUND]
    # Without a gate this version makes what any version made, and with the same one what that version made.
    granted = ("weights", "gate") if theirs.gate in ("", plan.gate) else ("weights",)
    others = [str(one) for one in changed if one.name not in (*_OF_SOUND, *granted)]
    if of_sound and any(readable(Ledger(store, theirs.prefix(stage)), 0) is None for stage in ("sound", theirs.heard)):
        others += of_sound
    if "readings" not in note and (plan.portrait_reading or plan.canvas_reading):
        others.append("the colours of its pictures may have been read in another way")  # nobody noted how
    gone = [name for name, stored in weights if not store.exists(stored.key)]
    if others or gone:
        why = "; ".join([*others, *(f"its weights {name} are no longer there" for name in gone)])
        return Earlier(stream, changed, why=why)
    return Earlier(stream, changed, own=theirs)


def _changed(plan: TitlePlan, note: Mapping[str, object]) -> tuple[Change, ...]:
    """What a plan was made with that is another one now; nothing where no note tells."""
    was, now = note.get("made_with"), plain(plan.made_with())
    if not isinstance(was, dict):
        return ()
    names = [name for name in now.keys() | was.keys() if was.get(name) != now.get(name)]
    changes = [Change(name, _short(was.get(name)), _short(now.get(name))) for name in sorted(names)]
    if note.get("weights_hash") != plan.weights_hash:
        changes.append(Change("weights", str(note.get("weights_hash"))[:12], plan.weights_hash[:12]))
    return tuple(changes)


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 200 else f"{text[:200]}…"


def plan_key(title: str, stream: str) -> str:
    """Where the note of a plan lies that was begun."""
    return f"{title}/stream/{stream}/plan.json"
