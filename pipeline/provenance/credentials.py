"""Content credentials (C2PA): a signed statement inside the finished file of what made it, and out of what.

A signature holds times and random numbers, so two signatures of one file differ. Whoever signs first therefore keeps
the statement in the store (`seal_key`), and everybody after them, another driver or a restart, puts that one into the
same place of the same file: the finished file is the same, byte for byte.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import c2pa

from pipeline.core.errors import InputError, LongtakeError, SetupError
from pipeline.media.boxes import top_boxes
from pipeline.provenance.signing_identity import Identity
from pipeline.provenance.watched import Watched, busy

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
TRUST = "LONGTAKE_CREDENTIALS_TRUST"  # a PEM file of the roots whose signers are believed
FACTS = "org.longtake.provenance"  # the assertion with inputs, hashes and options
C2PA_BOX = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")  # identity of the box in ISO media files
_EXPIRED, _IN_TIME = "signingCredential.expired", "claimSignature.insideValidity"
_UNTRUSTED, _NOT_ITS_FILE = "signingCredential.untrusted", "assertion.bmffHash.mismatch"
_KINDS = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"fLaC": "audio/flac", b"ID3": "audio/mpeg"}


@dataclass(frozen=True)
class Ingredient:
    """A file that went into a title; what credentials it holds itself are kept with it."""

    name: str
    path: Path
    sha256: str


@dataclass(frozen=True)
class Credentials:
    """What a file says of itself. `state`: `none`, `invalid`, `valid` (whole, by an unknown signer) or `trusted`."""

    state: str
    signer: str = ""
    source_type: str = ""
    ingredients: tuple[str, ...] = ()
    facts: dict[str, object] | None = None
    faults: tuple[str, ...] = ()
    expired: bool = False  # the signer's certificate has run out since; it was valid when it signed

    @property
    def good(self) -> bool:
        return self.state in ("valid", "trusted")

    def said(self) -> dict[str, object]:
        """For reports and pages."""
        return {
            "state": self.state,
            "signer": self.signer,
            "source_type": self.source_type,
            "ingredients": list(self.ingredients),
            "faults": list(self.faults),
        }


def sign(
    source: Path, target: Path, who: Identity, *, title: str, software: str, version: str, facts: dict[str, object],
    ingredients: Iterable[Ingredient] = (), alive: Callable[[], None] = lambda: None,
) -> str:  # fmt: skip
    """Write `source`, a finished MP4, with signed credentials to `target`; returns the sha256 of `source`.

    Memory does not grow with its length; on disk the library holds one more copy meanwhile. `alive` is called as long
    as bytes are read and written.
    """
    statement = {
        "claim_generator_info": [{"name": software, "version": version}],
        "title": title,
        "format": "video/mp4",
        "assertions": [
            {
                "label": "c2pa.actions.v2",
                "data": {"actions": [{"action": "c2pa.created", "digitalSourceType": SOURCE_TYPE}]},
            },
            {"label": FACTS, "data": facts},
        ],
    }
    try:
        info = c2pa.C2paSignerInfo(who.algorithm, who.certificate, who.key, who.time_stamps)
        with (
            _context() as context,
            closing(c2pa.Signer.from_info(info)) as signer,
            closing(c2pa.Builder.from_json(json.dumps(statement), context)) as builder,
        ):
            for one in ingredients:
                _add(builder, one)
            with source.open("rb") as given, target.open("w+b") as out, busy(alive):
                heard = Watched(given, alive)
                builder.sign(signer, "video/mp4", heard, Watched(out, alive))
                return heard.sha256()
    except c2pa.C2paError as error:
        target.unlink(missing_ok=True)
        raise SetupError(
            f"credentials: the file cannot be signed ({_words(error)}); check key and certificate"
        ) from None


def read_credentials(path: Path, kind: str = "video/mp4") -> Credentials:
    """What credentials a file holds and whether they are its own. Raises InputError for a file that cannot be read."""
    try:
        with (
            path.open("rb") as file,
            _context() as context,
            closing(c2pa.Reader(kind, file, context=context)) as reader,
        ):
            said = json.loads(reader.json())
            state = str(reader.get_validation_state() or "Invalid").lower()
    except c2pa.C2paError.ManifestNotFound:
        return Credentials("none")
    except c2pa.C2paError as error:
        return Credentials("invalid", faults=(_words(error),))
    except OSError as error:
        raise InputError(f"{path.name}: cannot be opened ({error.strerror}); give a readable file") from None
    return _credentials(said, state)


def read_statement(box: bytes) -> Credentials:
    """What a box with credentials says, without the file that it was made for: that one's bytes are not looked at."""
    data = box[box.index(b"jumb") - 4 :]
    with _context() as context, closing(c2pa.Reader("application/c2pa", io.BytesIO(data), context=context)) as reader:
        said = json.loads(reader.json())
    found = said.get("validation_results", {}).get("activeManifest", {})
    codes = {kind: {one.get("code") for one in found.get(kind, [])} for kind in ("success", "failure")}
    said["validation_status"] = [one for one in said.get("validation_status", []) if one.get("code") != _NOT_ITS_FILE]
    wrong = codes["failure"] - {_NOT_ITS_FILE, _UNTRUSTED, _EXPIRED}
    state = "invalid" if wrong else "trusted" if "signingCredential.trusted" in codes["success"] else "valid"
    return _credentials(said, state)


def _credentials(said: dict[str, Any], state: str) -> Credentials:
    active = said.get("manifests", {}).get(said.get("active_manifest"), {})
    results = said.get("validation_results", {}).get("activeManifest", {})
    good, bad = ({one.get("code") for one in results.get(kind, [])} for kind in ("success", "failure"))
    expired = _EXPIRED in bad and _IN_TIME in good
    if expired and state == "invalid" and not bad - {_UNTRUSTED, _EXPIRED}:
        state = "valid"  # who signed then is not to blame for what day it is now
    data = {one.get("label"): one.get("data") for one in active.get("assertions", [])}
    actions = (data.get("c2pa.actions.v2") or data.get("c2pa.actions") or {}).get("actions", [])
    signed = active.get("signature_info", {})
    return Credentials(
        state=state if state in ("valid", "trusted") else "invalid",
        signer=" / ".join(filter(None, (signed.get("issuer"), signed.get("common_name")))),
        source_type=next((one["digitalSourceType"] for one in actions if one.get("digitalSourceType")), ""),
        ingredients=tuple(str(one.get("title", "")) for one in active.get("ingredients", [])),
        facts=data.get(FACTS),
        faults=tuple(
            str(one.get("explanation") or one.get("code"))
            for one in said.get("validation_status", [])
            if one.get("code") != _UNTRUSTED and not (expired and one.get("code") == _EXPIRED)
        ),
        expired=expired,
    )


def statement_of(path: Path) -> tuple[int, bytes]:
    """Where the box with the credentials lies in a signed file, and its bytes."""
    with path.open("rb") as file:
        for box in top_boxes(file):
            file.seek(box.offset)
            if box.kind == "uuid" and box.size < (64 << 20):
                data = file.read(box.size)
                if data[box.header : box.header + 16] == C2PA_BOX:
                    return box.offset, data
    raise LongtakeError(f"{path.name}: holds no content credentials; publish it again")


def put_statement(path: Path, box: bytes) -> bool:
    """Replace the credentials of a signed file by others of the same length; False where the length differs."""
    offset, own = statement_of(path)
    if len(own) != len(box):
        return False
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(box)
        file.flush()
        os.fsync(file.fileno())
    return True


def _add(builder: c2pa.Builder, one: Ingredient) -> None:
    said = {"title": one.name, "relationship": "inputTo", "instance_id": f"urn:sha256:{one.sha256}"}
    with one.path.open("rb") as file:
        kind = _kind(file.read(12))
        file.seek(0)
        try:
            builder.add_ingredient(said, kind, file)
        except c2pa.C2paError:  # not one that the library reads: it cannot hold credentials, and is named by its hash
            builder.add_ingredient(said, "application/octet-stream", io.BytesIO())


def _kind(head: bytes) -> str:
    """The media type by a file's first bytes."""
    for start, kind in _KINDS.items():
        if head.startswith(start):
            return kind
    match head[:4], head[8:12]:
        case b"RIFF", b"WAVE":
            return "audio/wav"
        case b"RIFF", b"WEBP":
            return "image/webp"
    return "audio/mp4" if head[4:8] == b"ftyp" else "application/octet-stream"


def _context() -> c2pa.Context:
    """Nothing is fetched from outside; thumbnails would make a picture's copy part of every video."""
    settings: dict[str, object] = {
        "core": {
            "backing_store_memory_threshold_in_mb": 32,  # of copies made while signing
            # Media data is hashed in pieces, whose hashes the statement holds, 4 kB for a gigabyte. Hashed as a whole
            # it would be read 256 MiB at a time, and twice as much held.
            "merkle_tree_chunk_size_in_kb": 8192,
            "merkle_tree_max_proofs": 0,
        },
        "builder": {"thumbnail": {"enabled": False}},
        "verify": {"verify_after_sign": False, "remote_manifest_fetch": False, "ocsp_fetch": False},
    }
    if roots := os.environ.get(TRUST):
        try:
            settings["trust"] = {"trust_anchors": Path(roots).read_text()}
        except OSError as error:
            raise SetupError(f"{TRUST}: {roots} cannot be read ({error.strerror}); name a PEM file") from None
    return c2pa.Context(c2pa.Settings.from_dict(settings))


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
