"""Weights that lie elsewhere: on S3, in memory, on a hub that tells its files' sha256."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import fsspec
import pytest
import torch

from models.families.registry import FAMILIES
from models.weights.synthetic_tree import write_tree
from pipeline.core.command import run_command
from pipeline.intake import weight_fetch
from pipeline.intake.weight_tree import told_sha256
from pipeline.main import group
from pipeline.sources.inputs import stamp_of
from tests.conftest import render_inline, write_manifest
from tests.support.s3 import S3Server
from tests.support.tiny_hallo2 import TINY_FAMILY

NET = "hallo2/net.pth"


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAMILIES, "tiny", TINY_FAMILY)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory, small_looks: None) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    write_tree(folder, TINY_FAMILY)
    return folder


def longtake(*argv: str) -> int:
    return run_command(group, list(argv))


def upload(tree: Path, url: str) -> str:
    """The tree at a URL."""
    fs, root = fsspec.core.url_to_fs(url)
    for file in tree.rglob("*.*"):
        fs.pipe_file(f"{root}/{file.relative_to(tree)}", file.read_bytes())
    return url


def test_rendered_from_s3_to_s3(s3: S3Server, tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Workers fetch their files from the store; a second run reads none at the source."""
    url = upload(tree, f"s3://{s3.bucket}/weights")
    output = f"s3://{s3.bucket}/weights-out"
    title = {"frames": 2, "face_box": [20, 20, 40, 40]}
    options: dict[str, Any] = {"family": "tiny", "weights": url, "steps": 1, "background": "lanczos"}
    assert render_inline(write_manifest(tmp_path, [title], output=output, **options)) == 0
    assert f"weights: reading {url}/{NET}" in capsys.readouterr().err
    another = title | {"id": "another"}
    assert render_inline(write_manifest(tmp_path, [another], output=output, **options)) == 0
    assert "weights:" not in capsys.readouterr().err


def test_fetched_from_s3(s3: S3Server, tree: Path, tmp_path: Path) -> None:
    url = upload(tree, f"s3://{s3.bucket}/fetched")
    part = tmp_path / "got" / f"{NET}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes((tree / NET).read_bytes()[:70_000])
    part.with_name(f"{part.name}.stamp").write_text(stamp_of(f"{url}/{NET}")[1])
    assert longtake("weights", "fetch", url, "--to", str(tmp_path / "got"), "--family", "tiny") == 0
    for file in tree.rglob("*.*"):
        assert (tmp_path / "got" / file.relative_to(tree)).read_bytes() == file.read_bytes()


def test_a_part_that_is_there_is_not_read_again(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written of the part is left alone: marked by another first byte, it shows in the sha256."""
    url = upload(tree, "memory://weights-resumed")
    part = tmp_path / "got" / f"{NET}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"?" + (tree / NET).read_bytes()[1:1000])
    part.with_name(f"{part.name}.stamp").write_text(stamp_of(f"{url}/{NET}")[1])
    arrived: list[bytes] = []
    monkeypatch.setattr(weight_fetch, "inspect", lambda path, file, family: arrived.append(path.read_bytes()))
    assert longtake("weights", "fetch", url, "--to", str(tmp_path / "got"), "--family", "tiny") == 0
    assert arrived[0] == b"?" + (tree / NET).read_bytes()[1:]


def test_a_hub_s_own_sha256_is_compared(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(weight_fetch, "told_sha256", lambda info: "0" * 64)
    url = upload(tree, "memory://weights-of-a-hub")
    assert longtake("weights", "fetch", url, "--to", str(tmp_path / "got"), "--family", "tiny") == 2
    assert f"its store says {'0' * 64}" in capsys.readouterr().err
    assert not list((tmp_path / "got").rglob("net.pth*.part"))


def test_what_a_hub_tells_of_a_large_file() -> None:
    assert told_sha256({"lfs": {"size": 5, "sha256": "ab", "pointer_size": 1}}) == "ab"
    assert told_sha256({"lfs": {"oid": "cd"}}) == "cd"
    assert told_sha256({"lfs": None, "size": 3}) is None


def test_a_connection_that_ends_early_is_gone_on_with(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = upload(tree, "memory://weights-cut-off")
    command = ("weights", "fetch", url, "--to", str(tmp_path / "got"), "--family", "tiny")
    whole = (tree / NET).read_bytes()
    reads = 0

    class Broken:
        """A stream that gives 64 KiB and breaks off."""

        def __init__(self, stream: Any):
            self.stream = stream

        def __enter__(self) -> Broken:
            return self

        def __exit__(self, *_: object) -> None:
            self.stream.close()

        def seek(self, place: int) -> None:
            self.stream.seek(place)

        def read(self, count: int) -> bytes:
            nonlocal reads
            reads += 1
            if reads > 1:
                raise ConnectionError("reset by peer")
            return self.stream.read(min(count, 1 << 16))

    fs, _ = fsspec.core.url_to_fs(url)
    with pytest.MonkeyPatch.context() as patch:
        opened = type(fs).open
        patch.setattr(type(fs), "open", lambda self, *a, **k: Broken(opened(self, *a, **k)))
        assert longtake(*command) == 2
    assert "reset by peer" in capsys.readouterr().err
    assert (tmp_path / "got" / f"{NET}.part").read_bytes() == whole[: 1 << 16]
    assert longtake(*command) == 0
    assert (tmp_path / "got" / NET).read_bytes() == whole


def test_weights_that_changed_are_read_again(tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And, being wrong now, refused: what is remembered of a file holds for that file only."""
    folder = Path(shutil.copytree(tree, tmp_path / "weights"))
    title = {"frames": 2, "face_box": [20, 20, 40, 40]}
    manifest = write_manifest(tmp_path, [title], family="tiny", weights=str(folder), steps=1, background="lanczos")
    assert render_inline(manifest) == 0
    tensors = torch.load(folder / NET, weights_only=True)
    del tensors["imageproj.norm.bias"]
    torch.save(tensors, folder / NET)
    capsys.readouterr()
    assert render_inline(manifest) == 2
    told = capsys.readouterr().err
    assert "imageproj.norm.bias missing" in told
    assert told.count("weights: reading") == 1
