"""People open the pages: headless Chromium, from the local server and from an S3 server, while a run goes on."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from actors.upscale import UpscaleWorker
from pipeline import pages_command, serve
from pipeline.core.errors import InputError
from pipeline.manifest.fields import moment
from pipeline.pages.catalog import KEY
from pipeline.redo import Part
from pipeline.scheduler.work import Done, Job
from pipeline.store.opening import open_store
from pipeline.store.store import Store
from pipeline.titles.title_folders import read_json
from pipeline.titles.title_plan import TitlePlan
from tests.conftest import render_inline, write_manifest
from tests.pipeline.pages.test_browser import HERE, chromium
from tests.support import s3
from tests.support.clusters.unhurried_render import FAILS
from tests.support.hostile_text import HOSTILE, hostile
from tests.support.leftovers import descendants, end
from tests.support.media_sources import program

pytestmark = pytest.mark.slow
WITHIN = 240.0  # seconds for what takes a few
FRAMES = 3000  # two minutes: 63 GOPs


@contextlib.contextmanager
def served(store: Store) -> Iterator[str]:
    with serve.make_server(store) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.address
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, str]]:
    """(where to render to, address where a browser finds it)."""
    if request.param == "folder":
        with served(open_store(str(tmp_path / "out"))) as address:
            yield str(tmp_path / "out"), address
        return
    with s3.running(public=True) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server.url("catalog"), f"{server.endpoint}/{server.bucket}/catalog"


class Browser:
    """Visits pages; `events` is what happened."""

    def __init__(self, folder: Path, steps: list[dict[str, Any]]):
        path = folder / "steps.json"
        path.write_text(json.dumps(steps))
        command = ["node", str(HERE / "pages.mjs"), chromium(), str(path)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.events: list[dict[str, Any]] = []

    def until_opened(self, count: int) -> None:
        assert self.process.stdout is not None
        while sum(event["event"] == "opened" for event in self.events) < count:
            line = self.process.stdout.readline()
            assert line, f"the browser ended early: {self.events}"
            self.events.append(json.loads(line))

    def rest(self) -> list[Any]:
        """What every step told; fails where anything went wrong on a page."""
        assert self.process.stdout is not None
        self.events += [json.loads(line) for line in self.process.stdout]
        assert [event for event in self.events if event["event"] in ("console", "failed")] == []
        assert self.process.wait() == 0
        return [event["value"] for event in self.events if event["event"] == "told"]

    def close(self) -> None:
        end(descendants(self.process.pid))
        self.process.wait()


ROWS = """Object.fromEntries([...document.querySelectorAll("tr[data-id]")].map((row) => [row.dataset.id, {
  state: row.querySelector(".chip").textContent, link: row.querySelector("a")?.getAttribute("href"),
  picture: row.querySelector("img")?.naturalWidth || 0,
  why: row.nextElementSibling?.querySelector(".why")?.textContent || "" }]))"""
# Search narrows the rows, and sorting turns them round, from the keyboard.
TOOLS = """(() => {
  const ids = () => [...document.querySelectorAll("tr[data-id]")].map((row) => row.dataset.id);
  const search = document.getElementById("search");
  document.dispatchEvent(new KeyboardEvent("keydown", { key: "/" }));
  const focused = document.activeElement === search;
  search.value = "fail"; search.dispatchEvent(new Event("input"));
  const found = ids();
  search.value = ""; search.dispatchEvent(new Event("input"));
  document.querySelector(".c-name button").click();
  const up = ids();
  document.querySelector(".c-name button").click();
  return { focused, found, up, down: ids() };
})()"""
PLAY = """(() => { const video = document.querySelector("video"); video.muted = true; video.playbackRate = 8;
  if (video.paused) video.play().catch(() => {}); return video.currentTime > %s; })()"""


CHAPTERS = [{"at": 0, "title": "The beginning"}, {"at": 6, "title": "What follows"}]
# A chapter is chosen; then what is said about the stream, and where the player is.
CHOOSE = """(() => { const video = document.querySelector("video"); video.pause();
  const found = [...document.querySelectorAll(".chapter")]; found[1].click(); video.pause();
  return { chapters: found.map((one) => one.textContent), at: video.currentTime,
    extent: document.getElementById("extent").innerText }; })()"""
SEEN = "[...document.querySelectorAll('tr img')].filter((image) => image.naturalWidth).length === %d"
PLAYABLE = "document.querySelector('video').readyState >= 2"
TEXT = "document.body.innerText"
SRT = "1\n00:00:00,200 --> 00:00:05,500\nWords & <b>more</b>\n"
# Captions are switched on; true once one is shown.
CAPTIONED = """(() => { const video = document.querySelector("video");
  const track = [...video.textTracks].find((one) => ["captions", "subtitles"].includes(one.kind));
  if (!track) return false;
  track.mode = "showing";
  if (!video.seeking && !(video.currentTime > 0.5 && video.currentTime < 5)) video.currentTime = 1;
  return Boolean(track.activeCues && track.activeCues.length); })()"""
CAPTION = """[...document.querySelector("video").textTracks].filter((one) => one.mode === "showing")
  .map((one) => one.activeCues[0].getCueAsHTML().textContent)"""
# Texts whose contrast is below WCAG AA, with their ratio; how many texts there are; and how far the page is too wide.
CONTRAST = """(() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const parts = (colour) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255]; };
  const over = ([r, g, b, a], under) => [r, g, b].map((one, k) => one * a + under[k] * (1 - a));
  const ground = (element) => {
    if (!element) return parts(getComputedStyle(document.body).backgroundColor).slice(0, 3);
    const own = parts(getComputedStyle(element).backgroundColor);
    return own[3] === 1 ? own.slice(0, 3) : over(own, ground(element.parentElement)); };
  const linear = (one) => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4;
  const light = (colour) => colour.map((one) => linear(one / 255))
    .reduce((sum, one, k) => sum + one * [0.2126, 0.7152, 0.0722][k], 0);
  const weak = []; let texts = 0;
  for (const element of document.body.querySelectorAll("*")) {
    const words = [...element.childNodes].filter((one) => one.nodeType === 3).map((one) => one.data).join("").trim();
    const seen = element.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true });
    if (!words || !seen || element.closest("script,noscript,.hidden")) continue;
    const style = getComputedStyle(element), size = parseFloat(style.fontSize), under = ground(element);
    let front = parts(element.closest("svg") ? style.fill : style.color);
    for (let one = element; one; one = one.parentElement) front[3] *= Number(getComputedStyle(one).opacity);
    const [a, b] = [light(over(front, under)), light(under)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    texts += 1;
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5)) weak.push([words.slice(0, 40), ratio]);
  }
  return { weak, texts, wide: document.documentElement.scrollWidth - innerWidth };
})()"""
FOCUS = """(() => { const one = document.activeElement;
  return { tag: one.tagName, id: one.id, outline: getComputedStyle(one).outlineStyle, pressed: one.ariaPressed,
    hash: location.hash }; })()"""
LOOK = """({ ran: typeof globalThis.ran, text: document.body.textContent,
  links: [...document.querySelectorAll("a")].map((a) => a.protocol) })"""


def step(address: str, wait: str, script: str) -> dict[str, Any]:
    return {"open": address, "wait": wait, "script": script}


def test_people_watch_a_run(tmp_path: Path, place: tuple[str, str]) -> None:
    """One title is done, one renders, one has failed."""
    output, address = place
    titles = [
        {"id": "a-done", "frames": 200, "priority": 2, "captions": "words.srt"},
        {"id": "b-renders", "frames": FRAMES, "chapters": CHAPTERS, "captions": "words.srt"},
    ]
    titles.append({"id": "c-failed", "frames": 300, "priority": 1})
    manifest = write_manifest(tmp_path, titles, segment_frames=48)
    (tmp_path / "words.srt").write_text(SRT)
    store = open_store(output)
    log = tmp_path / "driver.log"
    hold = tmp_path / "hold"
    hold.touch()
    command = [sys.executable, "-m", "tests.support.clusters.unhurried_render", str(hold), str(manifest)]
    command += ["--executor", "inline", "--output", output]
    with log.open("wb") as said:
        driver = subprocess.Popen(command, stdout=said, stderr=said)
    browser = None
    try:
        entries = until(store, driver, log)
        os.kill(driver.pid, signal.SIGSTOP)  # so that it is not over before the browser is there
        committed = len(store.list("b-renders/stream/" + store.folders("b-renders/stream")[0] + "/stream")) * 1.92
        steps = [
            step(f"{address}/index.html", SEEN % 2, ROWS),
            step(f"{address}/index.html", "document.querySelector('tr[data-id]') !== null", TOOLS),
            step(f"{address}/a-done/report.html", PLAYABLE, TEXT),
            step(f"{address}/c-failed/report.html", "document.querySelector('.why') !== null", TEXT),
            step(f"{address}/a-done/report.html", CAPTIONED, CAPTION),
            step(f"{address}/b-renders/report.html", CAPTIONED, CAPTION),
            step(f"{address}/b-renders/report.html", PLAY % committed, CHOOSE),
            step(f"{address}/index.html", "document.querySelectorAll('.chip.done').length === 2", ROWS),
        ]
        browser = Browser(tmp_path, steps)
        browser.until_opened(7)
        hold.unlink()
        os.kill(driver.pid, signal.SIGCONT)
        rows, tools, done, failed, captions, growing, watched, later = browser.rest()
        assert driver.wait(timeout=WITHIN) != 0, "one title has failed"
    finally:
        for process in (driver, *([browser.process] if browser else [])):
            end(descendants(process.pid))
            process.wait()

    assert 0 < entries["b-renders"]["upscaled"] < entries["b-renders"]["gops"]
    assert {name: row["state"] for name, row in rows.items()} == {
        "a-done": "Done",
        "b-renders": "Rendering",
        "c-failed": "Failed",
    }
    assert rows["a-done"]["picture"] == rows["b-renders"]["picture"] == 64
    assert FAILS in rows["c-failed"]["why"]
    assert "run the same command again" in rows["c-failed"]["why"]
    assert rows["a-done"]["link"] == "a-done/report.html"
    assert tools == {
        "focused": True,
        "found": ["c-failed"],
        "up": ["a-done", "b-renders", "c-failed"],
        "down": ["c-failed", "b-renders", "a-done"],
    }
    for heading in ("Timeline", "At a glance", "Marked as generated", "What it is made of"):
        assert heading in done
    assert "What was tried again" in failed
    assert FAILS in failed
    assert watched["chapters"] == ["0:00The beginning", "0:06What follows"]
    assert captions == growing == ["Words & more"]  # beside the file, and in the stream
    assert watched["at"] == pytest.approx(6)
    assert "You can watch the first" in watched["extent"] or "are here" in watched["extent"]
    assert later["b-renders"]["state"] == "Done"
    hosts = {event["host"] for event in browser.events if event["event"] == "asked"}
    assert hosts == {urlsplit(address).netloc}


def until(store: Store, driver: subprocess.Popen[bytes], log: Path) -> dict[str, Any]:
    """Wait until the pages tell of a title that is done, one that has failed, and one that can be watched."""
    deadline = time.monotonic() + WITHIN
    while time.monotonic() < deadline:
        assert driver.poll() is None, log.read_text()
        entries = {one["id"]: one for one in (read_json(store, KEY) or {"titles": []})["titles"]}
        states = {name: one["state"] for name, one in entries.items()}
        if states == {"a-done": "done", "b-renders": "rendering", "c-failed": "failed"}:
            title = read_json(store, "b-renders/page.json") or {}
            if title.get("files", {}).get("stream") and entries["b-renders"]["thumb"]:
                return entries
        time.sleep(0.1)
    raise AssertionError(f"no such moment in {WITHIN:.0f} s: {log.read_text()}")


def test_nothing_of_a_hostile_manifest_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Markup, script and quotes wherever a text can come from: prompts, names, tags, chapters, errors, evaluation."""
    name = HOSTILE[3].replace("/", "")
    notes = tmp_path / "notes.txt"
    chapters = "".join(
        f"[CHAPTER]\nTIMEBASE=1/1000\nSTART={1000 * k}\nEND={1000 * k + 1000}\ntitle={escaped(hostile(k))}\n"
        for k in range(2)
    )
    notes.write_text(f";FFMETADATA1\ntitle={escaped(hostile(1))}\nartist={escaped(hostile(2))}\n{chapters}")
    plain = tmp_path / "plain.wav"
    manifest = write_manifest(tmp_path, [{"id": "good", "frames": 50}, {"id": "bad", "frames": 50}])
    (tmp_path / "audio-0.wav").rename(plain)
    book = tmp_path / f"{name}.m4b"
    program("-i", plain, "-i", notes, "-map", "0:a", "-map_metadata", 1, "-map_chapters", 1, "-c:a", "aac", book)
    written = json.dumps({"at": 0, "text": hostile(4)})
    text = manifest.read_text().replace("audio: audio-0.wav", f"audio: {json.dumps(book.name)}\n  prompts: [{written}]")
    manifest.write_text(text)
    work_on = UpscaleWorker.work_on

    def fails(self: UpscaleWorker, job: Job, plan: TitlePlan) -> Iterator[Done]:
        if job.title == "bad":
            raise InputError(FAILS)
        yield from work_on(self, job, plan)

    monkeypatch.setattr(UpscaleWorker, "work_on", fails)
    assert render_inline(manifest) != 0
    output = tmp_path / "out"
    series = {hostile(5): [0.1, 0.4, 0.2], "identity": [1, 0.9, 0.95]}
    (output / "good" / "evaluation.json").write_text(json.dumps({"per_second": series, hostile(6): 1.5}))
    for kept in (output / "_runs").iterdir():  # what a run said, in words that come from outside
        told = json.loads(kept.read_text())
        told["titles"]["bad"]["reason"] = hostile(7)
        kept.write_text(json.dumps(told))
    assert pages_command.run([str(manifest)]) == 0

    with served(open_store(str(output))) as address:
        wait = "document.querySelector('main').innerText.length > 50"
        pages = ("index.html", "good/report.html", "bad/report.html")
        browser = Browser(tmp_path, [step(f"{address}/{page}", wait, LOOK) for page in pages])
        try:
            index, good, bad = browser.rest()
        finally:
            browser.close()
    for told in (index, good, bad):
        assert told["ran"] == "undefined"
        assert set(told["links"]) == {"http:"}
    shown = [(good, 0), (good, 1), (good, 2), (good, 4), (good, 5), (good, 6), (bad, 7), (index, 1), (index, 7)]
    for seen, number in shown:
        text = " ".join(hostile(number).split()) if number == 7 else hostile(number)  # a reason is told in one line
        assert said(text) in said(seen["text"]), number
    assert book.name in good["text"]


def escaped(text: str) -> str:
    return "".join(f"\\{c}" if c in "=;#\\\n" else c for c in text)


def said(text: str) -> str:
    """A text but for characters that nobody sees, which tags of sound files do not keep."""
    return "".join(c for c in text if c.isprintable()).casefold()  # names of curves begin with a capital


def test_pages_open_from_a_folder(finished: Any, tmp_path: Path) -> None:
    """Without any server: the catalog and a finished title, with its video."""
    steps = [
        step((finished.output / "index.html").as_uri(), SEEN % 1, ROWS),
        step((finished.output / "reading" / "report.html").as_uri(), PLAYABLE, TEXT),
    ]
    browser = Browser(tmp_path, steps)
    try:
        rows, title = browser.rest()
    finally:
        browser.close()
    assert rows["reading"]["state"] == "Done"
    assert rows["reading"]["picture"] == 64
    assert "At a glance" in title


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 1440), ("light", 390), ("dark", 390)])
def test_texts_can_be_read(finished: Any, tmp_path: Path, scheme: str, width: int) -> None:
    """Contrast of every text by WCAG AA, and no page is wider than its screen."""
    look = {"script": CONTRAST, "wait": "document.querySelector('main').innerText.length > 50"}
    look |= {"scheme": scheme, "width": width, "height": 844}
    with served(open_store(str(finished.output))) as address:
        steps = [look | {"open": f"{address}/{page}"} for page in ("index.html", "reading/report.html")]
        faint = "document.getElementById('lede').style.color = 'rgb(128 128 128 / 50%)';"
        steps.append(steps[0] | {"script": faint + CONTRAST})
        browser = Browser(tmp_path, steps)
        try:
            *found, spoiled = browser.rest()
        finally:
            browser.close()
    assert len(spoiled["weak"]) == 1  # where there is one it is found
    for page in found:
        assert page["texts"] > 10
        assert page["weak"] == []
        assert page["wide"] <= 0


def test_keys_lead_through_the_pages(finished: Any, tmp_path: Path) -> None:
    """Past the head of a page to what it is about, into the search, on to the filters; where one is can be seen."""
    with served(open_store(str(finished.output))) as address:
        index, report = f"{address}/index.html", f"{address}/reading/report.html"
        wait = "document.querySelector('main').innerText.length > 50"
        keys = [(index, ["Tab", "Enter"]), (index, ["/"]), (index, ["/", "Tab", "Enter"]), (report, ["Tab", "Enter"])]
        browser = Browser(tmp_path, [step(page, wait, FOCUS) | {"keys": pressed} for page, pressed in keys])
        try:
            titles, search, filters, player = browser.rest()
        finally:
            browser.close()
    assert (titles["hash"], player["hash"]) == ("#titles", "#video")
    assert (search["tag"], search["id"]) == ("INPUT", "search")
    assert (filters["tag"], filters["pressed"]) == ("BUTTON", "true")
    assert filters["outline"] == "solid"


def test_a_gop_offers_the_line_that_has_it_made_once_more(finished: Any, tmp_path: Path) -> None:
    """Walked to by keys; the line is one that `longtake redo` takes."""
    with served(open_store(str(finished.output))) as address:
        script = """(() => {
            const seen = (one) => (one.checkVisibility() ? one.textContent : "");
            const look = () => Array.from(document.querySelectorAll(".strip-told code"), seen);
            const before = look();
            const strip = document.querySelector(".strip");
            strip.focus();
            strip.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
            return { before, after: look() };
        })()"""
        wait = "document.querySelector('.strip')"
        browser = Browser(tmp_path, [step(f"{address}/reading/report.html", wait, script)])
        try:
            (found,) = browser.rest()
        finally:
            browser.close()
    assert found["before"] == [""]
    (line,) = found["after"]
    assert line.startswith("longtake redo MANIFEST reading@0:00:01.92-0:00:0")
    title, start, stop = Part().convert(line.split()[-1], None, None)
    assert (title, start) == ("reading", "0:00:01.92")
    assert moment(start) < moment(stop)
