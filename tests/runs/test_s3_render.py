"""The same manifest rendered to an object store: same frames as on a local disk, also after the driver was killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.store.opening import open_store
from pipeline.store.store import Store
from tests.conftest import render_inline, write_manifest
from tests.runs.test_identity import decoded, results
from tests.support.clusters.ray_head import head
from tests.support.s3 import S3Server

pytestmark = pytest.mark.slow
LENGTHS = (1, 49, 97, 490)
TITLES = [{"id": f"n{length}", "frames": length} for length in LENGTHS]
RECORD = re.compile(r"\d{8}\.\d+\.json$")
WITHIN = 300.0  # seconds for what takes a few


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_manifest(tmp_path_factory.mktemp("titles"), TITLES)


@pytest.fixture(scope="module")
def local(manifest: Path):  # type: ignore[no-untyped-def]
    """What all others are compared with: rendered inline into a folder."""
    assert render_inline(manifest) == 0
    return results(manifest.parent / "out", LENGTHS)


@pytest.fixture(scope="module")
def cluster(s3_server: S3Server) -> Iterator[str]:
    """A node whose workers have the credentials from its own environment."""
    with head(3, environment=s3_server.environment) as address:
        yield address


def records(store: Store) -> dict[str, bytes]:
    """Commit records of chain and stream by key."""
    found = {}
    for title in TITLES:
        for stage in ("chain", "stream"):
            for plan in store.folders(f"{title['id']}/{stage}"):
                keys = store.list(f"{title['id']}/{stage}/{plan}/{stage}")
                found |= {key: store.get(key) for key in keys if RECORD.search(key)}
    return found


def stored(store: Store, folder: Path):  # type: ignore[no-untyped-def]
    """The same facts of an output in a store as `results` of a local one."""
    planes: dict[str, list[str]] = {}
    for key, data in sorted(records(store).items()):
        if "/stream/" in key:
            record = json.loads(data)
            planes.setdefault(record["title"], []).append(record["facts"]["planes"])
    files = {}
    for title in planes:
        store.get_file(f"{title}/final.mp4", folder / f"{title}.mp4")
        files[title] = decoded(folder / f"{title}.mp4")
    return planes, files


def command(manifest: Path, output: str, *more: str) -> list[str]:
    return [sys.executable, "-m", "pipeline.render", str(manifest), "--output", output, *more]


def test_inline_to_s3(tmp_path: Path, manifest: Path, local, s3: S3Server) -> None:  # type: ignore[no-untyped-def]
    output = s3.url()
    assert render_inline(manifest, "--output", output) == 0
    assert stored(open_store(output), tmp_path) == local


def test_ray_to_s3_with_the_output_in_the_manifest(
    tmp_path: Path, manifest: Path, local, s3: S3Server, cluster: str
) -> None:  # type: ignore[no-untyped-def]
    output = s3.url()
    text = manifest.read_text()
    assert "output: out\n" in text
    (copy := manifest.with_name("to-s3.yaml")).write_text(text.replace("output: out\n", f"output: {output}\n"))
    run = [sys.executable, "-m", "pipeline.render", str(copy), "--address", cluster, "--upscalers", "2"]
    done = subprocess.run(run, capture_output=True, text=True, timeout=WITHIN)
    assert done.returncode == 0, done.stderr
    assert stored(open_store(output), tmp_path) == local
    secret = s3.environment["AWS_SECRET_ACCESS_KEY"]
    assert secret not in done.stdout + done.stderr
    keys = ("report.json", "provenance.json", "inputs.json")
    assert not any(secret.encode() in open_store(output).get(f"n97/{key}") for key in keys)


def test_a_killed_driver_continues_on_s3(tmp_path: Path, manifest: Path, local, s3: S3Server, cluster: str) -> None:  # type: ignore[no-untyped-def]
    output = s3.url()
    store = open_store(output)
    run = command(manifest, output, "--address", cluster, "--upscalers", "2")
    log = tmp_path / "driver.log"
    with log.open("wb") as said:
        driver = subprocess.Popen(run, stdout=said, stderr=said)
    deadline = time.monotonic() + WITHIN
    while len(records(store)) < 8:
        assert driver.poll() is None, log.read_text()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    before = records(store)
    assert not store.exists("n490/final.mp4")
    done = subprocess.run(run, capture_output=True, text=True, timeout=WITHIN)
    assert done.returncode == 0, done.stderr
    after = records(store)
    assert before.items() <= after.items()
    assert len(after) == 2 * sum(-(-length // 48) for length in LENGTHS)  # no GOP was made twice
    assert stored(store, tmp_path) == local


def test_a_finished_output_is_left_alone(manifest: Path, s3: S3Server, capsys: pytest.CaptureFixture[str]) -> None:
    output = s3.url()
    arguments = ("--output", output, "--only", "n49")
    assert render_inline(manifest, *arguments) == 0
    before = open_store(output).get("n49/report.json")
    capsys.readouterr()
    assert render_inline(manifest, *arguments) == 0
    assert "n49: done" in capsys.readouterr().err
    assert open_store(output).get("n49/report.json") == before


def test_wrong_credentials_are_said(
    manifest: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret")
    assert render_inline(manifest, "--output", s3.url()) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert "wrong-secret" not in said
    assert "s3://" in said
