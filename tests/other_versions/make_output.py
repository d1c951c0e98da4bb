"""`python make_output.py FOLDER`: makes output.tar.xz, tiny-weights.tar.xz and facts.json, with the code of eea74a0.

Run in a checkout of that commit with this folder copied somewhere else; its imports are those of that commit. Every
driver is a process of its own, so that some can be killed.
"""

# ruff: noqa: I001 - these modules are where that commit has them
from __future__ import annotations

import datetime
import json
import os
import shutil
import socket
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

from models.families import FAMILIES
from pipeline import encode, ffmpeg, gc, render, signing_identity
from pipeline.records import Ledger, Record
from tests.tiny_hallo2 import TINY_FAMILY

HERE = Path(__file__).parent
WORK = Path("/tmp/longtake-catalog")
SHARED = ("_pages", "_weights", "_portraits", "index.html")  # of all titles; no record needs them


def in_process(what: Callable[[], int | None]) -> int:
    """Exit code of a process that does this."""
    if child := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 1
    try:
        code = what() or 0
    finally:
        sys.stderr.flush()
        os._exit(code)
    return code


def rendered(manifest: str, title: str, *more: str, dies_at: tuple[str, int] | None = None) -> int:
    """Render one title; `dies_at` a stage and a frame: its driver dies before that record is created."""

    def driver() -> int:
        if dies_at:
            plain = Ledger.commit

            def commit(self: Ledger, record: Record):  # type: ignore[no-untyped-def]
                if (record.stage, record.first) == dies_at:
                    os._exit(9)
                return plain(self, record)

            Ledger.commit = commit  # type: ignore[method-assign]
        return render.run([str(WORK / manifest), "--executor", "inline", "--only", title, *more])

    return in_process(driver)


def half(manifest: str, title: str, preview: str, dies_at: int) -> None:
    """A title of which the preview's GOPs are whole, and whose chain went on until its driver died at a frame."""
    assert rendered(manifest, title, "--preview", preview) == 0
    (WORK / "output" / title / "preview.mp4").unlink()
    assert rendered(manifest, title, dies_at=("chain", dies_at)) == 9


def mended(title: str) -> None:
    """A title whose second GOP of latents was damaged while nothing ran."""
    assert rendered("fake.yaml", title, dies_at=("stream", 48)) == 9
    (latents,) = (WORK / "output" / title).glob("chain/*/chain/objects/00000048-*-latents")
    latents.write_bytes(b"\0" * latents.stat().st_size)
    assert rendered("fake.yaml", title) == 0


def kept_less() -> None:
    """One title was finished before the manifest said what to keep, the other after; then gc came."""
    manifest = WORK / "fake.yaml"
    words = manifest.read_text()
    manifest.write_text(words.replace("keep: final }", "keep: all }"))
    assert rendered("fake.yaml", "kept-file") == 0
    manifest.write_text(words)
    assert rendered("fake.yaml", "kept-stream") == 0
    for title in ("kept-file", "kept-stream"):
        assert in_process(lambda title=title: gc.run([str(manifest), "--only", title, "--delete"])) == 0


def tiny_weights() -> None:
    """A folder of weights for family `tiny`, with few different numbers in it, so that it packs well."""
    from models import synthetic_tree  # brings torch

    plain = synthetic_tree.synthetic_tensors

    def coarse(*arguments):  # type: ignore[no-untyped-def]
        tensors = plain(*arguments)
        wide = {name: value for name, value in tensors.items() if value.ndim > 1 and value.is_floating_point()}
        steps = {name: value.float().std() for name, value in wide.items()}
        return tensors | {name: ((value / steps[name]).round() * steps[name]).half() for name, value in wide.items()}

    synthetic_tree.synthetic_tensors = coarse
    synthetic_tree.write_tree(WORK / "tiny-weights", TINY_FAMILY, half=True)


def packed(name: str, target: Path) -> None:
    with tarfile.open(target / f"{name}.tar.xz", "w:xz", preset=9) as archive:
        archive.add(WORK / name, name)


def planes(output: Path, title: str) -> list[str]:
    """sha256 of the pictures of every GOP."""
    records = sorted((output / title).glob("stream/*/stream/*.json"))
    return [json.loads(record.read_text())["facts"]["planes"] for record in records]


def lasting_identity() -> None:
    """Sign as somebody whose certificate was there long ago and will be for long."""

    class Then(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:  # type: ignore[override]
            return datetime.datetime(2020, 1, 1, tzinfo=tz)

    signing_identity.datetime = SimpleNamespace(datetime=Then, UTC=datetime.UTC, timedelta=datetime.timedelta)
    who = signing_identity.made_up("tests", days=365 * 100)
    os.environ[signing_identity.CERTIFICATE] = who.certificate.decode()
    os.environ[signing_identity.KEY] = who.key.decode()
    signing_identity.datetime = datetime


def main() -> None:
    target = Path(sys.argv[1])
    shutil.rmtree(WORK, ignore_errors=True)
    shutil.copytree(HERE, WORK)
    socket.gethostname = lambda: "studio"
    lasting_identity()
    for title in ("full", "short", "marked"):
        assert rendered("fake.yaml", title) == 0
    kept_less()
    mended("mended")
    assert rendered("fake.yaml", "preview", "--preview", "1.95") == 0
    half("fake.yaml", "half", "3.9", 192)
    assert rendered("mini.yaml", "drawn") == 0
    half("mini.yaml", "drawn-half", "1.95", 96)
    FAMILIES["tiny"] = TINY_FAMILY
    assert in_process(tiny_weights) == 0
    assert rendered("tiny.yaml", "published") == 0
    undisturbed = ["--output", str(WORK / "undisturbed")]
    assert all(rendered("fake.yaml", title, *undisturbed) == 0 for title in ("preview", "half"))
    assert rendered("mini.yaml", "drawn-half", *undisturbed) == 0
    facts = {
        "builds": {"ffmpeg": ffmpeg.version(), "h264": encode.Encoding("h264", 64, 64, 20).build()},
        "planes": {title: planes(WORK / "undisturbed", title) for title in ("preview", "half", "drawn-half")},
    }
    (target / "facts.json").write_text(json.dumps(facts, indent=1) + "\n")
    remembered = [json.loads(path.read_text()) for path in (WORK / "output/_weights").iterdir()]
    weights = [f"_inputs/{file['sha256']}" for one in remembered for file in one["files"]]
    for name in (*SHARED, *weights):
        path = WORK / "output" / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    packed("output", target)
    packed("tiny-weights", target)


if __name__ == "__main__":
    main()
