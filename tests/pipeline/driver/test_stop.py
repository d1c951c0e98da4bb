"""A signal before there is anything to finish ends the command, whatever code it meets."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import api
from pipeline.driver.stop import AGAIN
from pipeline.render import run
from tests.conftest import write_manifest


class Named:
    def __set_name__(self, owner: type, name: str) -> None:
        os.kill(os.getpid(), signal.SIGTERM)


class Deleted:
    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)


def plainly() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def while_a_class_is_made() -> None:
    """Python makes a RuntimeError of whatever is raised there."""
    type("Owner", (), {"name": Named()})


def while_something_is_deleted() -> None:
    """Python drops whatever is raised there."""
    Deleted()


def while_an_error_is_handled() -> None:
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    except KeyboardInterrupt as error:
        raise OSError("a library's word for it") from error


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    "moment", [plainly, while_a_class_is_made, while_something_is_deleted, while_an_error_is_handled]
)
def test_a_signal_at_any_moment_of_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], moment: Callable[[], None]
) -> None:
    load = api.load

    def interrupted(*what: object, **more: object) -> api.Catalog:
        moment()
        return load(*what, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(api, "load", interrupted)
    assert run([str(write_manifest(tmp_path, [{"id": "one", "frames": 96}])), "--executor", "inline"]) == 75
    said = capsys.readouterr().err
    assert f"Interrupted before rendering began. {AGAIN}" in said
    assert "error" not in said
    assert not list(tmp_path.glob("out/*/stream"))


def test_an_error_without_a_signal_stays_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*what: object, **more: object) -> api.Catalog:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(api, "load", broken)
    with pytest.raises(RuntimeError, match="a fault of ours"):
        run([str(write_manifest(tmp_path, [{"id": "one", "frames": 96}])), "--executor", "inline"])
