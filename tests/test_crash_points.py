"""A render that is killed at any write to its store, and started again, leaves what an undisturbed one leaves."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipeline import choose, schedule
from pipeline.errors import StoreError
from pipeline.pages import writer
from pipeline.store_local import LocalStore
from tests.conftest import render_inline, write_manifest

WRITES = ("put", "create", "put_file", "delete")
TITLES = [{"id": "long", "frames": 100}, {"id": "short", "frames": 17}]
MOMENTS = ("before", "half-way", "after")


class Killed(BaseException):
    """The process is gone: nothing catches this, and no write comes after it."""


class Fault:
    """Counts the writes of all local stores, and makes one of them fail at a moment."""

    def __init__(self, at: int | None = None, moment: str = "before", error: type[BaseException] = Killed):
        self.at, self.moment, self.error = at, moment, error
        self.writes, self.dead = 0, False

    def wrapped(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def write(store: LocalStore, key: str, *arguments: Any) -> Any:
            if self.dead:
                raise Killed
            self.writes += 1
            if self.writes != self.at:
                return method(store, key, *arguments)
            self.dead = self.error is Killed
            if self.moment == "after":
                method(store, key, *arguments)
            elif self.moment == "half-way" and arguments:
                path = store.path(key)
                path.parent.mkdir(parents=True, exist_ok=True)
                (path.parent / f".{path.name}.half").write_bytes(b"half of it")
            raise self.error(f"{self.moment} write {self.at}, {key}")

        return write


@contextmanager
def writing(fault: Fault) -> Iterator[Fault]:
    with pytest.MonkeyPatch.context() as patch:
        for name in WRITES:
            patch.setattr(LocalStore, name, fault.wrapped(getattr(LocalStore, name)))
        patch.setattr(schedule, "BACKOFF", 0.0)
        yield fault


def records(output: Path) -> dict[str, Any]:
    """Everything that records say, but for who made them and when."""
    found = {}
    for path in sorted(output.glob("*/*/**/*.json")):
        if path.parent.name == "objects":
            continue
        facts = json.loads(path.read_text())
        if "attempt" in facts:
            for one in facts["objects"].values():
                one["key"] = one["key"].replace(facts["attempt"], "attempt")
            del facts["attempt"], facts["made"]
        if facts.get("stage") == "done":
            del facts["facts"]["records"]  # a digest that holds the attempts too
        found[str(path.relative_to(output))] = facts
    return found


def attempts(output: Path) -> dict[str, str]:
    found = {
        path: json.loads(path.read_text()) for path in output.glob("*/*/**/0*.json") if path.parent.name != "objects"
    }
    return {str(path.relative_to(output)): facts["attempt"] for path, facts in found.items()}


@pytest.fixture(scope="module", autouse=True)
def _one_playlist() -> Iterator[None]:
    """How many playlists a render writes would depend on how long it takes; here each title gets its first only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choose, "PLAYLIST_EVERY", 1e9)
        patch.setattr(writer, "EVERY", 1e9)  # so the pages are written at the beginning and at the end
        yield


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_manifest(tmp_path_factory.mktemp("sources"), TITLES)


@pytest.fixture(scope="module")
def undisturbed(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], int]:
    """What a render leaves, and how often it writes."""
    output = tmp_path_factory.mktemp("undisturbed")
    with writing(Fault()) as fault:
        assert render_inline(manifest, "--output", str(output)) == 0
    found = records(output)
    assert sum(facts.get("stage") == "stream" for facts in found.values()) == 4
    assert all(facts["facts"]["planes"] for facts in found.values() if facts.get("stage") == "stream")
    assert sum(facts.get("stage") == "done" for facts in found.values()) == 2
    return found, fault.writes


def crash_and_rerun(manifest: Path, output: Path, fault: Fault) -> None:
    with writing(fault), pytest.raises(Killed):
        render_inline(manifest, "--output", str(output))
    before = attempts(output)
    assert render_inline(manifest, "--output", str(output)) == 0
    after = attempts(output)
    assert {name: after[name] for name in before} == before, "what was committed is not made again"


def samples(count: int) -> list[tuple[int, str]]:
    """Places spread over a run, as parts of a hundred, each with another moment than its neighbours."""
    return [(100 * k // count, MOMENTS[k % 3]) for k in range(count)]


@pytest.mark.parametrize(("percent", "moment"), samples(6))
def test_killed_and_started_again(
    manifest: Path, undisturbed: tuple[dict[str, Any], int], tmp_path: Path, percent: int, moment: str
) -> None:
    expected, writes = undisturbed
    crash_and_rerun(manifest, tmp_path, Fault(1 + percent * (writes - 1) // 100, moment))
    assert records(tmp_path) == expected


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_at_every_write(
    manifest: Path, undisturbed: tuple[dict[str, Any], int], tmp_path: Path, moment: str
) -> None:
    expected, writes = undisturbed
    for number in range(1, writes + 1):
        crash_and_rerun(manifest, tmp_path / str(number), Fault(number, moment))
        assert records(tmp_path / str(number)) == expected, f"{moment} write {number}"


def test_killed_again_and_again(manifest: Path, undisturbed: tuple[dict[str, Any], int], tmp_path: Path) -> None:
    """Every run gets a little further than the one before."""
    expected, writes = undisturbed
    for _ in range(writes):
        with writing(Fault(30, "half-way")):
            try:
                code = render_inline(manifest, "--output", str(tmp_path))
            except Killed:
                continue
        assert code == 0
        break
    assert records(tmp_path) == expected


@pytest.mark.parametrize(
    ("percent", "moment"), [(20, "after"), (35, "before"), (50, "after"), (60, "before"), (70, "after"), (95, "before")]
)
def test_a_write_that_fails_is_tried_again(
    manifest: Path, undisturbed: tuple[dict[str, Any], int], tmp_path: Path, percent: int, moment: str
) -> None:
    """The store answers with an error, once, though it may have written: the same run goes on to its end."""
    expected, writes = undisturbed
    with writing(Fault(percent * writes // 100, moment, StoreError)) as fault:
        assert render_inline(manifest, "--output", str(tmp_path)) == 0
    assert fault.at is not None
    assert fault.writes > fault.at, "the fault came, and the run went on"
    assert records(tmp_path) == expected
