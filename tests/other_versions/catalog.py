"""The output of commit eea74a0 in a folder of a test's own, as if it had been rendered there."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tarfile
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
MADE_IN = "/tmp/longtake-catalog"  # where it was rendered; addresses of inputs are remembered
FACTS: dict[str, Any] = json.loads((HERE / "facts.json").read_text())
HALF = {"fake.yaml": ("preview", "half"), "mini.yaml": ("drawn-half",), "tiny.yaml": ()}


def unpack(folder: Path) -> Path:
    """Manifests, inputs, weights and output; inputs are as old as when they were read."""
    shutil.copytree(HERE, folder, ignore=shutil.ignore_patterns("*.py", "*.xz", "*.json", "plans-*", "__pycache__"))
    for name in ("output", "tiny-weights"):
        with tarfile.open(HERE / f"{name}.tar.xz") as archive:
            archive.extractall(folder, filter="data")
    for path in (folder / "output").glob("*/inputs.json"):
        remembered = json.loads(path.read_text().replace(MADE_IN, str(folder)))
        path.write_text(json.dumps(remembered, indent=1) + "\n")
        for one in remembered["files"]:
            os.utime(one["url"], ns=(int(one["stamp"]), int(one["stamp"])))
    return folder


def titles_of(manifest: Path) -> list[str]:
    return [title["id"] for title in yaml.safe_load(manifest.read_text())["titles"]]


def finished_in(manifest: Path) -> list[str]:
    return [title for title in titles_of(manifest) if title not in HALF[manifest.name]]


def contents(output: Path, *titles: str) -> dict[str, str]:
    """sha256 of every file of titles, by path in the output."""
    return {
        str(path.relative_to(output)): hashlib.sha256(path.read_bytes()).hexdigest()
        for title in titles
        for path in sorted((output / title).rglob("*"))
        if path.is_file()
    }


def records(files: dict[str, str]) -> dict[str, str]:
    """Those of `contents` that are records, void markers, numerics classes, headers, or objects under a hash."""
    return {
        path: digest
        for path, digest in files.items()
        if path.split("/")[1] in ("sound", "loudness", "chain", "stream") and not path.endswith("/plan.json")
    }


def planes(output: Path, title: str) -> list[str]:
    """sha256 of the pictures of every GOP of a title with one stream and nothing made twice."""
    paths = sorted((output / title).glob("stream/*/stream/*.json"))
    return [json.loads(path.read_text())["facts"]["planes"] for path in paths]
