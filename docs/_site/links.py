"""A hook of MkDocs: the site is made of the repository's own files, and their relative links work in both places.

The front page is README.md. What pages link to outside of docs/ (an example, a model card) is copied below `source/`,
and links are rewritten on the way; a link to a folder or to a missing file is a warning, which `--strict` refuses.
"""

from __future__ import annotations

import logging
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
HOME = "README.md"
LINK = re.compile(r"(?P<before>\]\()(?P<target>[^)\s#]+)(?P<after>(?:#[^)\s]*)?\))")
CODE = re.compile(r"^(```|~~~).*?^\1|`[^`\n]+`", re.DOTALL | re.MULTILINE)

log = logging.getLogger("mkdocs.hooks.links")


def on_config(config: Any) -> Any:
    """All results are in the navigation, by their names."""
    pages = sorted(path.name for path in (ROOT / "docs/results").glob("*.md"))
    config.nav.append({"Results": [f"results/{name}" for name in pages]})
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the front page, and everything outside of docs/ that pages name."""
    waiting = [HOME, *(f"docs/{file.src_uri}" for file in files.documentation_pages())]
    seen = set(waiting)
    while waiting:
        path = waiting.pop()
        if not path.startswith("docs/"):
            files.append(File.generated(config, place_of(path), abs_src_path=str(ROOT / path)))
        if path.endswith(".md"):
            for target in targets(path, (ROOT / path).read_text()):
                if target not in seen and not target.startswith("docs/") and (ROOT / target).is_file():
                    seen.add(target)
                    waiting.append(target)
    return files


def on_page_markdown(markdown: str, page: Page, config: Any, files: Files) -> str:
    path = source_of(page.file.src_uri)

    def rewritten(match: re.Match[str]) -> str:
        if "://" in match["target"] or match["target"].startswith("mailto:"):
            return match[0]
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), match["target"]))
        if not (ROOT / target).is_file():
            log.warning("%s: links to %s, which is no file; link to a page", path, match["target"])
        there = posixpath.relpath(place_of(target), posixpath.dirname(page.file.src_uri))
        return f"{match['before']}{there}{match['after']}"

    return outside_code(markdown, lambda text: LINK.sub(rewritten, text))


def place_of(path: str) -> str:
    """Where a file of the repository lies among the site's sources."""
    if path == HOME:
        return "index.md"
    return path.removeprefix("docs/") if path.startswith("docs/") else f"source/{path}"


def source_of(place: str) -> str:
    """The file of the repository that a page is made of."""
    if place == "index.md":
        return HOME
    return place.removeprefix("source/") if place.startswith("source/") else f"docs/{place}"


def targets(path: str, markdown: str) -> list[str]:
    """Files of the repository that a page links to."""
    found: list[str] = []
    outside_code(markdown, lambda text: found.extend(match["target"] for match in LINK.finditer(text)) or text)
    return [
        posixpath.normpath(posixpath.join(posixpath.dirname(path), target)) for target in found if "://" not in target
    ]


def outside_code(markdown: str, change: Any) -> str:
    """`markdown` with `change` made to all that is no code."""
    parts, end = [], 0
    for match in CODE.finditer(markdown):
        parts += [change(markdown[end : match.start()]), match[0]]
        end = match.end()
    return "".join([*parts, change(markdown[end:])])
