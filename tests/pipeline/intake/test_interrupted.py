"""Ctrl-C while inputs are looked at and copied: the command ends at once, whoever it waits for, and a rerun goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from pipeline.driver.stop import AGAIN
from tests.conftest import render_inline, write_manifest, write_wav
from tests.support import faulty_s3
from tests.support.faulty_s3 import Asked
from tests.support.s3 import S3Server
from tests.support.slow_web import slow_web

HELD = 8.0  # seconds that every answer takes: far longer than a command may take to end
WITHIN = 2.0
BEGINS = 120.0


def interrupted(
    words: list[str], begun: Callable[[], bool], environment: Mapping[str, str] | None = None
) -> tuple[int, str, float]:
    """Exit code, what was said, and the seconds that it took to end after SIGINT once `begun`."""
    process = subprocess.Popen(
        [sys.executable, "-m", *words], stderr=subprocess.PIPE, text=True, env=os.environ | dict(environment or {})
    )
    try:
        deadline = time.monotonic() + BEGINS
        while not begun():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        asked = time.monotonic()
        said = process.communicate(timeout=BEGINS)[1]
        return process.returncode, said, time.monotonic() - asked
    finally:
        process.kill()


@pytest.mark.parametrize("command", ["render", "plan"])
def test_while_a_slow_server_is_asked(tmp_path: Path, command: str) -> None:
    files = {f"/{name}.wav": write_wav(tmp_path / f"{name}.wav", 48, seed=name).read_bytes() for name in range(3)}
    titles = [{"id": f"t{name}", "audio": f"WEB/{name}.wav"} for name in range(3)]
    manifest = write_manifest(tmp_path, titles)
    text = manifest.read_text()
    with slow_web(files, seconds=HELD) as web:
        manifest.write_text(text.replace("WEB", web.url))
        words = [f"pipeline.{command}", str(manifest), *(["--executor", "inline"] if command == "render" else [])]
        code, said, took = interrupted(words, lambda: web.begun >= 3)
    assert code == 75
    assert took < WITHIN
    assert "Traceback" not in said
    if command == "render":
        assert said.splitlines()[-1] == f"Interrupted before rendering began. {AGAIN}"
    with slow_web(files) as web:
        manifest.write_text(text.replace("WEB", web.url))
        assert render_inline(manifest) == 0


@pytest.mark.slow
def test_while_a_large_input_is_copied(tmp_path: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """60 MiB in parts, each of which takes its time."""
    manifest = write_manifest(tmp_path, [25 * 2000], output=f"s3://{s3.bucket}/copied")
    parts = list[Asked]()

    def choose(asked: Asked) -> str:
        if asked.method == "PUT" and "partNumber" in asked.query:
            parts.append(asked)
            proxy.hold = HELD
        return ""

    with faulty_s3.before(s3.endpoint) as proxy:
        proxy.choose = choose
        environment = proxy.environment(s3.environment)
        words = ["pipeline.render", str(manifest), "--executor", "inline", "--preview", "2"]
        code, said, took = interrupted(words, lambda: bool(parts), environment)
        assert (code, said.splitlines()[-1]) == (75, f"Interrupted before rendering began. {AGAIN}")
        assert took < WITHIN
        assert "Traceback" not in said
        proxy.hold, proxy.choose = 0.0, lambda asked: ""
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        assert render_inline(manifest, "--preview", "2") == 0
