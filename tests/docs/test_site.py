"""docs/: the site builds without a warning and asks no other host; diagrams are current; links lead to files."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from contextlib import ExitStack
from html.parser import HTMLParser
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from pipeline.store.opening import open_store
from tests.pipeline.pages.test_pages_browser import Browser, served, step

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("**/*.md")])
LOADS = {
    "script": "src",
    "img": "src",
    "link": "href",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "object": "data",
}
NAMED = re.compile(
    r"\b(?:pipeline|actors|models|cluster|benchmarks|tests|examples)/[\w/.-]*\.(?:py|ya?ml|json|txt|png|md)\b"
)
WORKER = "e8e412dbcfea9b7e31b5ffa288d7b6035915e714c542f4176a0cdbe262fc9609"  # shim/index.js of iframe-worker 1.0.4


def script(name: str) -> ModuleType:
    spec = spec_from_file_location(name, ROOT / f"docs/_site/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class Loaded(HTMLParser):
    """Addresses that a browser asks for when it opens a page: not those that a reader may follow."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.found.append(values.get(LOADS.get(tag, "")) or "")
        self.found += re.findall(r"url\(([^)]*)\)", values.get("style") or "")


def test_it_holds_every_page_and_can_be_searched(site: Path) -> None:
    for page in PAGES:
        name = page.relative_to(ROOT / "docs").with_suffix(".html") if page.name != "README.md" else Path("index.html")
        assert (site / name).is_file(), name
    assert (site / "source/examples/library.py").read_bytes() == (ROOT / "examples/library.py").read_bytes()
    assert "Ray moves work" in (site / "search/search_index.js").read_text()


def test_it_asks_no_other_host(site: Path) -> None:
    seen = 0
    for page in site.glob("**/*.html"):
        parser = Loaded()
        parser.feed(page.read_text())
        asked = [address for address in parser.found if re.match(r"(https?:)?//", address)]
        assert not asked, (page, asked)
        seen += 1
    assert seen > 30
    for sheet in site.glob("**/*.css"):
        assert not re.search(r"(@import|url\()\s*[\"']?(https?:)?//", sheet.read_text()), sheet
    for drawing in site.glob("**/*.svg"):
        assert not re.search(r"(href|src)=[\"'](https?:)?//", drawing.read_text()), drawing


def test_the_search_of_a_folder_needs_a_script_that_is_the_published_one() -> None:
    assert hashlib.sha256((ROOT / "docs/assets/iframe-worker.js").read_bytes()).hexdigest() == WORKER


def test_drawings_are_current() -> None:
    """After a change of layers in pyproject.toml: python docs/_site/drawings.py"""
    drawings = script("drawings")
    for name, draw in drawings.DRAWINGS.items():
        assert (ROOT / "docs" / name).read_text() == draw(), name


def test_files_that_pages_name_are_there() -> None:
    """But for docs/moved.md, which names those of earlier versions, and results, which are of their day."""
    named = {}
    for page in PAGES:
        if page.name != "moved.md" and page.parent.name != "results":
            named |= dict.fromkeys(NAMED.findall(page.read_text()), page)
    assert len(named) > 80
    gone = {name: page for name, page in named.items() if not (ROOT / name).exists()}
    assert not gone


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    links = script("links")
    for target in links.targets(str(page.relative_to(ROOT)), page.read_text()):
        assert (ROOT / target).exists(), target


@pytest.mark.slow
@pytest.mark.parametrize("place", ["folder", "server"])
def test_a_browser_finds_a_word_in_it(site: Path, tmp_path: Path, place: str) -> None:
    """What is typed into the search is found in the pages it is on; nothing else is asked for."""
    search = """(() => {
        const field = document.querySelector(".md-search__input");
        if (field.value !== "retake") {
            field.focus();
            field.value = "retake";
            field.dispatchEvent(new Event("input", { bubbles: true }));
            field.dispatchEvent(new KeyboardEvent("keyup", { bubbles: true }));
        }
        return document.querySelectorAll(".md-search-result__item a").length > 0;
    })()"""
    found = "Array.from(document.querySelectorAll('.md-search-result__item a'), (one) => one.getAttribute('href'))"
    with ExitStack() as stack:
        address = site.as_uri() if place == "folder" else stack.enter_context(served(open_store(str(site))))
        browser = Browser(tmp_path, [step(f"{address}/index.html", search, found)])
        try:
            (links,) = browser.rest()
        finally:
            browser.close()
    assert any("manifest.html" in link for link in links)
    assert {event["host"] for event in browser.events if event["event"] == "asked"} <= {address.removeprefix("http://")}
