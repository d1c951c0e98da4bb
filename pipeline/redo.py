"""`longtake redo MANIFEST TITLE@FROM-TO`: have a part of a title made once more, by a line in its manifest.

    longtake redo mine.yaml book@0:12:30-0:14:00 --seed 7

The manifest then has that part among the title's `retakes`; rendering it again makes nothing else. Said once more of
the same part, it gets another seed: another take.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from fractions import Fraction
from pathlib import Path

import click

from models.families.registry import FAMILIES
from pipeline.core.command import run_command
from pipeline.core.errors import InputError, ManifestError, UserError
from pipeline.core.safe_text import redact
from pipeline.manifest.catalog import Title, load_manifest
from pipeline.manifest.edit import with_retake
from pipeline.manifest.fields import moment
from pipeline.sources import urls

EXAMPLE = "for example book@0:12:30-0:14:00"
_PART = re.compile(r"([^@]+)@([0-9:.]+)-([0-9:.]+)")
_SHORT = re.compile(r"([0-5]?[0-9]):([0-5][0-9](?:\.[0-9]{1,6})?)")  # minutes and seconds


class Part(click.ParamType):
    """A stretch of a title: (id, from, to)."""

    name = "TITLE@FROM-TO"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str, str]:
        match = _PART.fullmatch(str(value))
        if match is None:
            self.fail(f"{value!r}: expected a title and a stretch of it, {EXAMPLE}")
        title, start, stop = match.groups()
        times = [_clock(self._moment(one)) for one in (start, stop)]
        if moment(times[0]) >= moment(times[1]):
            self.fail(f"{value!r}: expected a stretch that ends later than it begins, {EXAMPLE}")
        return title, times[0], times[1]

    def _moment(self, text: str) -> Fraction:
        if short := _SHORT.fullmatch(text):
            text = f"0:{int(short[1]):02}:{short[2]}"
        try:
            return moment(text if ":" in text else float(text))
        except ValueError:
            self.fail(f"{text!r}: expected seconds, M:SS or H:MM:SS.mmm, {EXAMPLE}")


@click.command()
@click.argument("manifest")
@click.argument("part", type=Part())
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Of its random numbers; one above the last take's.")
@click.option("--prompt", metavar="TEXT", help="What the portrait is to express there.")
def command(manifest: str, part: tuple[str, str, str], seed: int | None, prompt: str | None) -> None:
    """Write into MANIFEST that a part of a title is to be made once more; `render` then makes it, and nothing else.

    TITLE@FROM-TO is, for example, book@0:12:30-0:14:00. It is widened to quiet borders, by six seconds at most.
    """
    name, start, stop = part
    if not urls.is_local(manifest):
        raise UserError(
            f"{redact(manifest)}: only a manifest on a disk here can be changed; copy it, then use the copy"
        )
    catalog = load_manifest(manifest, families=FAMILIES)
    title = next((one for one in catalog.titles if one.id == name), None)
    if title is None:
        raise UserError(f"{name}: no such title; {redact(manifest)} has {', '.join(sorted(catalog.named)[:20])}")
    retake: dict[str, object] = {"from": start, "to": stop, "seed": _next_seed(title, start, stop, seed)}
    if prompt is not None:
        retake["prompts"] = [{"at": start, "text": prompt}]
    path = Path(urls.local_path(manifest)).resolve()
    try:
        changed = with_retake(_read(path), name, retake)
    except UserError as error:
        raise UserError(f"{manifest}: {error}") from error
    _replace(path, changed, manifest)
    click.echo(f"{name}: {start} to {stop} is to be made once more, seed {retake['seed']}; {manifest} says so.")
    click.echo(f"To make it: longtake render {manifest} --only {name}")


def _next_seed(title: Title, start: str, stop: str, seed: int | None) -> int:
    """The seed that was asked for; else one above that of the last take of this part. Raises UserError if another
    retake is in the way."""
    wanted = moment(start), moment(stop)
    for one in title.retakes:
        if (one.start, one.stop) == wanted:
            last = title.seed if one.seed is None else one.seed
            return seed if seed is not None else (last + 1) % 2**63
        if one.start < wanted[1] and wanted[0] < one.stop:
            raise UserError(
                f"{title.id}@{start}-{stop}: {_clock(one.start)} to {_clock(one.stop)} is a retake already; give that "
                "stretch for another take of it, or change it in the manifest"
            )
    return seed if seed is not None else 1 + (title.seed == 1)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text ({error}); write it as UTF-8") from error


def _replace(path: Path, text: str, manifest: str) -> None:
    """Put a manifest in the place of another, whole, and only if it can be read. Raises UserError."""
    half = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        half.write_text(text, encoding="utf-8")
        shutil.copymode(path, half)
        load_manifest(half, families=FAMILIES)
        half.replace(path)
    except ManifestError as error:
        raise UserError(str(error).replace(str(half), manifest)) from error
    except OSError as error:
        raise UserError(f"{manifest}: cannot be written ({error.strerror}); write the retake there by hand") from error
    finally:
        half.unlink(missing_ok=True)


def _clock(seconds: Fraction) -> str:
    """H:MM:SS, with as many decimals as there are."""
    whole, part = divmod(seconds, 1)
    minutes, rest = divmod(int(whole), 60)
    decimals = f"{float(part):.6f}"[1:].rstrip("0").rstrip(".")
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}{decimals}"


def run(argv: list[str]) -> int:
    """The command in this process: prints what it would print, returns its exit code."""
    return run_command(command, argv)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
