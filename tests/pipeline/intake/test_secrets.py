"""Keys in addresses and in the environment: planted, used, and looked for in everything that is printed or kept."""

from __future__ import annotations

import base64
import json
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.command import run_command
from pipeline.main import group
from pipeline.store.opening import open_store
from pipeline.store.store import Store
from tests.conftest import write_portrait, write_wav
from tests.runs.test_job import submit
from tests.support.clusters.ray_head import free_port, head
from tests.support.s3 import S3Server

USER, PASSWORD, TOKEN, SIGNATURE = "plantedUser", "plantedPass/word", "plantedToken123", "plantedSignature456"
ENVIRONMENT = {
    "HF_TOKEN": "hf_plantedHubToken",
    "AWS_SESSION_TOKEN": "plantedSessionToken",
    "AWS_SECRET_ACCESS_KEY": "plantedSecretKey",
    "LONGTAKE_PLANTED": "plantedVariable",
}
PLANTED = [USER, PASSWORD, "plantedPass%2Fword", TOKEN, SIGNATURE, "planted"]


class _Host(SimpleHTTPRequestHandler):
    """Hands out files to those who know user and password."""

    def send_head(self) -> Any:
        expected = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.headers.get("Authorization") != f"Basic {expected}":
            self.send_error(401)
            return None
        return super().send_head()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def host(tmp_path: Path) -> Iterator[str]:
    """Address, with user and password, of a folder with a portrait and a minute's fraction of sound."""
    folder = tmp_path / "host"
    folder.mkdir()
    write_portrait(folder / "face.png")
    write_wav(folder / "voice.wav", 60)
    (folder / "broken.wav").write_bytes(b"no sound at all " * 99)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Host, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://{USER}:{PASSWORD.replace('/', '%2F')}@127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def write(folder: Path, host: str, *titles: tuple[str, str]) -> Path:
    entries = [
        {"id": name, "portrait": f"{host}/face.png?token={TOKEN}", "audio": f"{host}/{sound}?Signature={SIGNATURE}"}
        for name, sound in titles
    ]
    catalog = {"version": 1, "output": "out", "family": "fake", "defaults": {"resolution": 64, "base_size": 64}}
    path = folder / "m.yaml"
    path.write_text(json.dumps(catalog | {"titles": entries}))
    return path


@dataclass(frozen=True)
class Desk:
    """A folder to work in, with keys in the environment."""

    folder: Path
    printed: pytest.CaptureFixture[str]

    def longtake(self, *arguments: str) -> tuple[int, str]:
        """Exit code and all that was printed."""
        code = run_command(group, list(arguments))
        said = self.printed.readouterr()
        return code, said.out + said.err


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    monkeypatch.chdir(tmp_path)
    return Desk(tmp_path, capsys)


def planted_in(text: str | bytes) -> list[str]:
    data = text.encode() if isinstance(text, str) else text
    return [secret for secret in PLANTED if secret.encode() in data]


def test_in_nothing_that_is_printed_or_kept(desk: Desk, host: str) -> None:
    """A title that is done, one whose file is refused, one that is not there; as text and as JSON; then the reports."""
    manifest = str(write(desk.folder, host, ("good", "voice.wav"), ("bad", "broken.wav"), ("none", "missing.wav")))
    render = ("render", manifest, "--executor", "inline", "--skip-invalid")
    runs = [render, ("render", manifest, "--executor", "inline"), (*render, "--json-log")]
    runs += [("status", manifest), ("status", "out", "--json"), ("verify", "out"), ("verify", manifest, "--json")]
    codes = []
    for arguments in runs:
        code, said = desk.longtake(*arguments)
        codes.append(code)
        assert planted_in(said) == [], arguments
        assert "Traceback" not in said
    assert codes[:3] == [1, 2, 1]  # so it was used: without the password nothing could have been rendered
    assert codes[3:6] == [0, 0, 0]
    files = [path for path in (desk.folder / "out").rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"report.json", "provenance.json", "inputs.json", "final.mp4"}
    assert [path for path in files if planted_in(path.read_bytes())] == []
    assert list((desk.folder / "scratch").iterdir()) == []


def test_the_test_would_notice(tmp_path: Path) -> None:
    path = write(tmp_path, f"http://{USER}:x@127.0.0.1:9", ("good", "voice.wav"))
    assert set(planted_in(path.read_bytes())) == {USER, TOKEN, SIGNATURE, "planted"}


def test_in_no_message_about_the_output(desk: Desk) -> None:
    """An output with keys in its address, at which nobody answers, and one of an unknown kind."""
    write_portrait(desk.folder / "face.png")
    write_wav(desk.folder / "voice.wav", 10)
    manifest = write(desk.folder, "x", ("one", "voice.wav"))
    catalog = json.loads(manifest.read_text())
    catalog["titles"][0] |= {"portrait": "face.png", "audio": "voice.wav"}
    for output in (f"s5://{USER}:{TOKEN}@127.0.0.1:9/x?sig={SIGNATURE}", f"s4://{USER}:{TOKEN}@bucket/x"):
        manifest.write_text(json.dumps(catalog | {"output": output}))
        code, said = desk.longtake("render", str(manifest), "--executor", "inline")
        assert code == 2, said
        assert planted_in(said) == []
        assert "Traceback" not in said


def _objects(store: Store, prefix: str = "") -> Iterator[str]:
    yield from store.list(prefix)
    for name in store.folders(prefix):
        yield from _objects(store, f"{prefix}/{name}" if prefix else name)


@pytest.mark.slow
def test_in_no_output_of_a_job_and_no_log_of_its_cluster(tmp_path: Path, s3: S3Server, host: str) -> None:
    """Keys in the nodes' environment and in the manifest; the store's own key is looked for, too."""
    manifest, output = write(tmp_path, host, ("good", "voice.wav")), s3.url()
    port = free_port()
    variables = {**s3.environment, "HF_TOKEN": ENVIRONMENT["HF_TOKEN"], "LONGTAKE_PLANTED": "plantedVariable"}
    before = set(Path("/tmp").glob("longtake-ray-*"))
    with head(2, "--include-dashboard=true", f"--dashboard-port={port}", environment=variables):
        job = submit(f"http://127.0.0.1:{port}", str(manifest), "--output", output)
        logs = [
            path
            for folder in set(Path("/tmp").glob("longtake-ray-*")) - before
            for path in folder.glob("session_*/logs/**/*")
            if path.is_file() and not path.is_symlink()
        ]
        kept = {str(path): path.read_bytes() for path in logs}
    assert job.returncode == 0, job.stdout + job.stderr
    secret = s3.environment["AWS_SECRET_ACCESS_KEY"]
    assert secret not in job.stdout + job.stderr
    assert planted_in(job.stdout + job.stderr) == []
    assert len(kept) > 5
    assert [name for name, data in kept.items() if planted_in(data) or secret.encode() in data] == []
    store = open_store(output)
    objects = {key: store.get(key) for key in _objects(store)}
    assert "good/provenance.json" in objects
    assert [key for key, data in objects.items() if planted_in(data) or secret.encode() in data] == []
