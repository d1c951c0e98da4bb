"""What the output holds, forged: records, what is remembered of inputs, playlists, notes of runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.hostile.case import Build, Room, Verdict, case, cases_in

DEEP = b"[" * 100_000


def _record(room: Room, stage: str) -> Path:
    """The first record of a stage of the good title."""
    (found,) = room.out.glob(f"one/**/{stage}/00000000.0.json" if stage != "sound" else "one/sound/*/00000000.0.json")
    return found


def _edited(room: Room, stage: str, **fields: Any) -> None:
    path = _record(room, stage)
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def _unfinished(room: Room) -> None:
    """Take away the last word, so that the records are looked at again."""
    for path in room.out.glob("one/stream/*/done/*"):
        path.unlink()


def _commands(room: Room) -> list[list[str]]:
    out = str(room.out)
    return [["status", out], ["verify", out], ["status", str(room.studio / "m.yaml")], room.again()]


def forged(name: str, stage: str, change: Callable[[bytes], bytes], verdict: Verdict = "harmless", *says: str) -> Any:
    """A record replaced by other bytes: looked at by every command, then rendered over."""

    def build(room: Room) -> list[list[str]]:
        room.rendered()
        _unfinished(room)
        path = _record(room, stage)
        path.write_bytes(change(path.read_bytes()))
        return _commands(room)

    return case(name, verdict, *says, seconds=40)(build)


def _with(**fields: Any) -> Callable[[bytes], bytes]:
    return lambda data: json.dumps(json.loads(data) | fields).encode()


def _object(**fields: Any) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        record = json.loads(data)
        for stored in record["objects"].values():
            stored |= fields
        return json.dumps(record).encode()

    return change


def _digits(data: bytes) -> bytes:
    return data.replace(b'"frames": 48', b'"frames": ' + b"9" * 5000)


def _padded(data: bytes) -> bytes:
    return data.rstrip()[:-1] + b" " * (300 << 20) + b"}"


RECORDS = [
    forged("record of 300 MiB", "chain", _padded),
    forged("record nested 100,000 deep", "chain", lambda data: DEEP),
    forged("record of a number of 5,000 digits", "chain", _digits),
    forged("record that is a list", "chain", lambda data: b"[]"),
    forged("record of noise", "stream", lambda data: bytes(range(256)) * 9),
    forged("empty record", "stream", lambda data: b""),
    forged("record of types that are wrong", "chain", _with(objects=[], frames="48", uses=7, made=None)),
    forged("record of frames below zero", "chain", _with(frames=-48)),
    forged("record of 10^18 frames", "conditioning", _with(frames=10**18)),
    forged("record of another title", "chain", _with(title="../../outside", stage="done")),
    forged("record with more fields", "chain", _with(__class__="os.system", evil=1)),
    forged("record that uses a number of 5,000 digits", "stream", _with(uses={"latents/" + "9" * 5000: "0" * 64})),
    forged("record that uses names that climb", "chain", _with(uses={"../../features/0": "0" * 64, "features/٣": "x"})),
    forged("record whose objects lie outside", "chain", _object(key="../../../outside/secret.txt")),
    forged("record whose objects have absolute names", "stream", _object(key="/etc/passwd")),
    forged("record whose objects are of 2^62 bytes", "stream", _object(size=2**62)),
    forged("record whose objects are those of others", "stream", _object(key="one/report.json")),
    forged("record of the sound without its facts", "sound", _with(facts={})),
    forged("record of the sound with odd facts", "sound", _with(facts={"speech_chunks": "x", "channels": "2"})),
    forged("record made in no time at nowhere", "stream", _with(made={"seconds": "soon", "host": ["\x1b"]})),
    forged("record with notes that are none", "conditioning", _with(facts={"notes": 7, "portrait_size": "x"})),
    forged("record of numerics that are none", "chain", _with(numerics={"device": ["\x1b[2J"] * 9})),
    forged("record of a later version", "chain", _with(version=10**9), "paused", "written by a later version"),
]  # fmt: skip


def vouched(name: str, stage: str, kind: str, content: bytes, verdict: Verdict = "harmless", *says: str) -> Any:
    """An object replaced by other bytes, for which its record vouches."""

    def build(room: Room) -> list[list[str]]:
        room.rendered()
        _unfinished(room)
        path = _record(room, stage)
        record = json.loads(path.read_text())
        stored = record["objects"][kind]
        (room.out / stored["key"]).write_bytes(content)
        stored |= {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
        path.write_text(json.dumps(record))
        return _commands(room)

    return case(name, verdict, *says, seconds=40)(build)


OBJECTS = [
    vouched("latents of noise, vouched for", "chain", "latents", bytes(range(256)) * 20),
    vouched("latents under another name, vouched for", "chain", "latents", b'\x08\0\0\0\0\0\0\0{}      '),
    vouched("features of noise, vouched for", "features", "features", b"\xff" * 100),
    vouched("index of the sound that is none, vouched for", "sound", "index", b'{"ranges": 7}'),
    vouched("fragment of noise, vouched for", "stream", "fragment", bytes(999), "failed", "verify the title"),
]  # fmt: skip


def placed(name: str, key: str, content: bytes, blanks: int = 0) -> Any:
    """Any object of the output replaced or added, with so many blanks before its last byte."""

    def build(room: Room) -> list[list[str]]:
        room.rendered()
        _unfinished(room)
        path = room.out / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content[:-1] + b" " * blanks + content[-1:])
        return _commands(room)

    return case(name, "harmless", seconds=40)(build)


RUN = {"titles": {"one": {"state": "failed", "reason": "\x1b[2J\x1b]0;owned\x07\nroot: ok " + "x" * 100_000}}}
PLACED = [
    placed("what is remembered, nested deep", "one/inputs.json", DEEP),
    placed("what is remembered, of 300 MiB", "one/inputs.json", b'{"files": []}', 300 << 20),
    placed("report nested deep", "one/report.json", DEEP),
    placed("report of 300 MiB", "one/report.json", b'{"hashes": {}}', 300 << 20),
    placed("provenance nested deep", "one/provenance.json", DEEP),
    placed("playlist that leads outside", "one/hls/index.m3u8", b"#EXTM3U\n../../../outside/secret.txt\nfile:///etc/passwd\n"),
    placed("playlist of noise", "one/hls/index.m3u8", bytes(range(256)) * 100),
    placed("run that ended with terminal codes", "_runs/99999999T000000Z-ffffffff.json", json.dumps(RUN).encode()),
    placed("run nested deep", "_runs/99999999T000000Z-ffffffff.json", DEEP),
    placed("weights remembered, nested deep", "_weights/0000000000000000.json", DEEP),
    placed("folder of terminal codes", "\x1b[2J\nroot/inputs.json", b"{}"),
    placed("folder with a backslash", "..\\..\\x/inputs.json", b"{}"),
]  # fmt: skip


def remembered(name: str, change: Callable[[dict[str, Any]], Any], verdict: Verdict = "harmless") -> Any:
    """`inputs.json`, by which audio is not decoded again, with entries that lie."""

    def build(room: Room) -> list[list[str]]:
        room.rendered()
        _unfinished(room)
        path = room.out / "one/inputs.json"
        found = json.loads(path.read_text())
        for one in found["files"]:
            change(one)
        path.write_text(json.dumps(found))
        return _commands(room)

    return case(f"remembered inputs: {name}", verdict, seconds=40)(build)


def _facts(**fields: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda one: one["facts"].update(fields) if isinstance(one["facts"], dict) else None


REMEMBERED = [
    remembered("a sha256 that climbs", lambda one: one.update(sha256="../../outside/secret.txt")),
    remembered("a sha256 of another type", lambda one: one.update(sha256=[7])),
    remembered("no size", lambda one: one.pop("size")),
    remembered("no facts", lambda one: one.pop("facts")),
    remembered("facts that are text", lambda one: one.update(facts="x")),
    remembered("samples that are text", _facts(samples="16000")),
    remembered("10^30 samples", _facts(samples=10**30)),
    remembered("no rate", _facts(rate=0)),
    remembered("10^9 channels", _facts(channels=10**9)),
    remembered("chapters that are none", _facts(chapters=[7], tags=[["a"]])),
    remembered("no address", lambda one: one.pop("url")),
]


@case("records that are void a thousand times", "harmless", seconds=40)
def voids(room: Room) -> list[list[str]]:
    room.rendered()
    _unfinished(room)
    path = _record(room, "stream")
    data = path.read_bytes()
    for generation in range(1_000):
        one = path.with_name(f"00000000.{generation}.json")
        one.write_bytes(data)
        one.with_name(f"{one.name}.void").write_bytes(b"")
    return _commands(room)


@case("records with names of huge numbers", "harmless", seconds=40)
def names(room: Room) -> list[list[str]]:
    room.rendered()
    _unfinished(room)
    path = _record(room, "stream")
    for name in ("99999999.0.json", f"00000048.{'9' * 200}.json", "00000048.0.json.void.void"):
        path.with_name(name).write_bytes(path.read_bytes())
    return _commands(room)


CASES: list[Any] = [*cases_in(globals()), *RECORDS, *OBJECTS, *PLACED, *REMEMBERED]
__all__ = ["CASES", "Build"]
