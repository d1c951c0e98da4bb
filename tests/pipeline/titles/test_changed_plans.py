"""A changed manifest: what it changes is made anew beside the old, and what it does not change is never made again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from pipeline.core.timeline import CLIP
from pipeline.media.inspect_media import count_frames
from pipeline.store.arrays import unpack
from tests.conftest import render_inline
from tests.support.damage import only, snapshot

Make = Callable[..., Path]
STREAM = "stream/*/stream"


def records(folder: Path, stage: str) -> dict[str, bytes]:
    """Commit records of a stage by path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.glob(f"{stage}/*.json")}


def latents(folder: Path, chain: str = "*") -> np.ndarray:
    """All latents of a title's only chain, or of the one named."""
    found = sorted(folder.glob(f"chain/{chain}/chain/*.json"))
    objects = [json.loads(path.read_text())["objects"]["latents"]["key"] for path in found]
    return np.concatenate([unpack((folder.parent / key).read_bytes(), key)["latents"] for key in objects])


def change(manifest: Path, title: dict[str, Any] | None = None, **defaults: Any) -> None:
    """Change the only title, or the options of all."""
    catalog = yaml.safe_load(manifest.read_text())
    catalog["titles"][0] |= title or {}
    catalog["defaults"] |= defaults
    manifest.write_text(yaml.safe_dump(catalog, sort_keys=False))


def test_a_prompt_changes_frames_from_its_clip_on(fake_manifest: Make) -> None:
    manifest = fake_manifest([160])
    folder = manifest.parent / "out" / "title-0"
    assert render_inline(manifest) == 0
    plain, first = latents(folder), only(folder, "chain/*").name
    gops = [json.loads(data)["facts"]["planes"] for _, data in sorted(records(folder, STREAM).items())]
    fragments = [path.read_bytes() for path in sorted(folder.glob(f"{STREAM}/objects/*"))]
    stream = only(folder, "stream/*").name

    change(manifest, title={"prompts": [{"at": 4.5, "text": "smiling"}]})  # frame 112 begins clip 7, in GOP 2
    assert render_inline(manifest) == 0
    (second,) = {path.name for path in folder.glob("chain/*")} - {first}
    prompted = latents(folder, second)
    differ = [not np.array_equal(a, b) for a, b in zip(plain, prompted, strict=True)]
    assert differ == [frame >= 7 * CLIP for frame in range(160)]

    (other,) = {path.name for path in folder.glob("stream/*")} - {stream}
    found = sorted(folder.glob(f"stream/{other}/stream/*.json"))
    again = [json.loads(path.read_text())["facts"]["planes"] for path in found]
    assert [a == b for a, b in zip(gops, again, strict=True)] == [True, True, False, False]
    remade = [path.read_bytes() for path in sorted(folder.glob(f"stream/{other}/stream/objects/*"))]
    assert [a == b for a, b in zip(fragments, remade, strict=True)] == [True, True, False, False]


@pytest.mark.parametrize(
    "change_to",
    [
        {"crf": 30},
        {"codec": "hevc"},
        {"effort": "good"},
        {"resolution": 128},
        {"fidelity": 0.2},
        {"canvas": "1920x1080"},
    ],
)
def test_another_picture_or_codec_never_chains_again(fake_manifest: Make, change_to: dict[str, Any]) -> None:
    manifest = fake_manifest([100])
    folder = manifest.parent / "out" / "title-0"
    assert render_inline(manifest) == 0
    chain, stream = snapshot(folder / "chain"), snapshot(folder / "stream")
    change(manifest, **change_to)
    assert render_inline(manifest) == 0
    assert snapshot(folder / "chain") == chain
    assert stream.items() <= snapshot(folder / "stream").items()
    assert len(list(folder.glob("stream/*"))) == 2
    planes = [json.loads(data)["facts"]["planes"] for _, data in sorted(records(folder, STREAM).items())]
    coded_anew = bool(change_to.keys() & {"crf", "codec", "effort"})
    assert (planes[:3] == planes[3:]) == coded_anew  # of the same pictures
    assert count_frames(folder / "final.mp4") == 100


@pytest.mark.parametrize("keep", ["final+hls", "final"])
def test_what_was_not_kept_is_chained_again(fake_manifest: Make, keep: str, capsys: pytest.CaptureFixture[str]) -> None:
    """However much it is; and it becomes what it was."""
    manifest = fake_manifest([490], keep=keep)
    folder = manifest.parent / "out" / "title-0"
    assert render_inline(manifest) == 0
    before = {
        path.name: json.loads(path.read_text())["state"] for path in sorted(folder.glob("chain/*/chain/*.0.json"))
    }
    change(manifest, crf=30)
    capsys.readouterr()
    assert render_inline(manifest) == 0
    assert "damaged" not in capsys.readouterr().err  # nothing is: no worker came upon what was dropped
    after = {path.name: json.loads(path.read_text())["state"] for path in sorted(folder.glob("chain/*/chain/*.1.json"))}
    assert list(after.values()) == list(before.values())
    assert len(after) == 11
    assert count_frames(folder / "final.mp4") == 490


def test_another_seed_is_another_chain(fake_manifest: Make) -> None:
    manifest = fake_manifest([60])
    folder = manifest.parent / "out" / "title-0"
    assert render_inline(manifest) == 0
    before = snapshot(folder / "chain") | snapshot(folder / "stream")
    sound_before = snapshot(folder / "sound")
    change(manifest, title={"seed": 7})
    assert render_inline(manifest) == 0
    assert len(list(folder.glob("chain/*"))) == len(list(folder.glob("stream/*"))) == 2
    assert before.items() <= (snapshot(folder / "chain") | snapshot(folder / "stream")).items()
    assert snapshot(folder / "sound") == sound_before  # it does not depend on the seed
    one, other = (latents(folder, path.name) for path in folder.glob("chain/*"))
    assert not any(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
