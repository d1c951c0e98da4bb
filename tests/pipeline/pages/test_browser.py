"""A browser plays a title while it renders: headless Chromium with hls.js, from the start to the end."""

from __future__ import annotations

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.conftest import write_manifest
from tests.support.leftovers import descendants, end

pytestmark = pytest.mark.slow
HERE = Path(__file__).parents[2] / "browser"
PLAYER = HERE / "node_modules" / "hls.js" / "dist" / "hls.min.js"
FRAMES = 1510  # a minute, with a last GOP of 22 frames
GOPS = 32
WITHIN = 120.0  # seconds for what takes a few
LOOK_AT = (0, 47, 48, 700, FRAMES - 1)  # frames: GOP borders and the last one


def chromium() -> str:
    """Path of the browser; skips the test, saying why, where it or the player is missing."""
    found = [path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))]
    missing = [
        *([] if found else ["no Chromium on PATH"]),
        *([] if shutil.which("node") else ["no node on PATH"]),
        *([] if PLAYER.exists() else ["hls.js is not installed (npm ci in tests/browser)"]),
    ]
    if missing:
        pytest.skip(f"no browser has played a rendering title: {'; '.join(missing)}; .ci/browser installs them")
    return found[0]


class Files(SimpleHTTPRequestHandler):
    """A folder, and the page with its player under /player/."""

    extensions_map = {  # noqa: RUF012
        **SimpleHTTPRequestHandler.extensions_map,
        ".m3u8": "application/vnd.apple.mpegurl",
        ".m4s": "video/iso.segment",
    }

    def translate_path(self, path: str) -> str:
        name = path.partition("?")[0]
        if name.startswith("/player/"):
            return str(PLAYER if name.endswith(".js") else HERE / "play.html")
        return super().translate_path(path)

    def send_head(self) -> Any:
        """As ever, but with byte ranges, which the sound is listed by."""
        asked = self.headers.get("Range")
        if not asked:
            return super().send_head()
        start, _, last = asked.removeprefix("bytes=").partition("-")
        with open(self.translate_path(self.path), "rb") as file:
            data = file.read()
        stop = min(int(last) + 1 if last else len(data), len(data))
        self.send_response(206)
        self.send_header("Content-Type", "video/mp4")
        self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(data)}")
        self.send_header("Content-Length", str(stop - int(start)))
        self.end_headers()
        self.wfile.write(data[int(start) : stop])
        return None

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Serves the test's folder."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Files, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


class Player:
    """The browser as a process; its events so far."""

    def __init__(self, program: str, page: str, screenshot: Path):
        moments = [f"{(frame + 0.5) / 25}" for frame in LOOK_AT]
        command = ["node", str(HERE / "play.mjs"), program, page, str(screenshot), *moments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.events: list[dict[str, Any]] = []

    def until(self, event: str) -> dict[str, Any]:
        """Read on to an event; the browser's own time limit ends the wait."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.events.append(json.loads(line))
            if self.events[-1]["event"] == event:
                return self.events[-1]
        raise AssertionError(f"the browser ended before {event!r}: {self.events}")

    def rest(self) -> list[dict[str, Any]]:
        assert self.process.stdout is not None
        self.events += [json.loads(line) for line in self.process.stdout]
        assert self.process.wait() == 0, self.events
        return self.events


def pictures(path: Path) -> dict[int, np.ndarray]:
    """The frames to look at, RGB."""
    with av.open(str(path)) as container:
        frames = enumerate(container.decode(video=0))
        return {number: frame.to_ndarray(format="rgb24").astype(int) for number, frame in frames if number in LOOK_AT}


def test_chromium_plays_a_title_while_it_renders(tmp_path: Path, address: str) -> None:
    program = chromium()
    manifest = write_manifest(tmp_path, [{"id": "reading", "frames": FRAMES}], segment_frames=48)
    title = tmp_path / "out" / "reading"
    hold = tmp_path / "hold"
    hold.touch()
    command = [
        sys.executable,
        "-m",
        "tests.support.clusters.unhurried_render",
        str(hold),
        str(manifest),
        "--executor",
        "inline",
    ]
    log = tmp_path / "driver.log"
    with log.open("wb") as said:
        driver = subprocess.Popen(command, stdout=said, stderr=said)
    player = None
    try:
        deadline = time.monotonic() + WITHIN
        while not (title / "hls" / "index.m3u8").exists():
            assert driver.poll() is None, log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.005)
        os.kill(driver.pid, signal.SIGSTOP)  # so that the title is not finished before the browser is there
        assert not (title / "final.mp4").exists()
        page = f"{address}/player/play.html?src=/out/reading/hls/index.m3u8"
        player = Player(program, page, tmp_path / "player.png")
        opened = player.until("playing")
        assert 0 < opened["listed"] < GOPS
        assert opened["ended"] is False
        hold.unlink()
        os.kill(driver.pid, signal.SIGCONT)
        ended = player.until("ended")
        events = player.rest()
        assert driver.wait(timeout=WITHIN) == 0, log.read_text()
    finally:
        for process in (driver, *([player.process] if player else [])):
            end(descendants(process.pid))
            process.wait()

    assert [event["text"] for event in events if event["event"] == "error"] == []
    assert (ended["listed"], ended["ended"]) == (GOPS, True)
    for name in ("buffered", "played"):  # from the very start to the end, without a gap
        assert ended[name] == [[0, pytest.approx(FRAMES / 25, abs=0.05)]], name
    assert ended["at"] == pytest.approx(ended["duration"], abs=0.05)
    assert ended["size"] == [64, 64]
    assert ended["shown"] > GOPS
    assert ended["corrupted"] == 0
    assert ended["soundBytes"] > 0
    assert (tmp_path / "player.png").stat().st_size > 0

    # What it shows at a moment is the frame of that moment, and no other.
    expected = pictures(title / "final.mp4")
    for event, number in zip([event for event in events if event["event"] == "picture"], LOOK_AT, strict=True):
        seen = np.array(event["rgba"]).reshape(64, 64, 4)[..., :3]
        off = {other: np.abs(seen - picture).mean() for other, picture in expected.items()}
        assert off[number] < 6, off
        assert min(value for other, value in off.items() if other != number) > 20, off
