"""One hostile file or set of files: how it is made, what is run on it, and what must come of it."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Verdict = Literal["refused", "harmless", "reported", "failed", "paused"]

# What the exit code of the last command says. `failed` and `reported` share 1: a title, or a check that found a fault.
CODES: dict[Verdict, int] = {"refused": 2, "harmless": 0, "reported": 1, "failed": 1, "paused": 75}

CANARY = "canary-7d1f4c92"  # stands in a file outside of the output, and must turn up nowhere
TITLE: dict[str, Any] = {"id": "one", "portrait": "face.png", "audio": "voice.wav", "resolution": 64}
CATALOG: dict[str, Any] = {"version": 1, "output": "out", "family": "fake", "titles": [TITLE]}
RENDER = ("--executor", "inline")


class Room:
    """A folder of its own for one case: `studio` with a good portrait and voice, and `outside`, which is off limits."""

    def __init__(self, folder: Path, good: Path):
        """`good` is a studio in which a title has been rendered."""
        self.studio, self.outside, self._good = folder / "studio", folder / "outside", good
        self.scratch = folder / "tmp"
        for one in (self.studio, self.outside, self.scratch):
            one.mkdir(parents=True)
        (self.outside / "secret.txt").write_text(CANARY)
        for name in ("face.png", "voice.wav", "m.yaml"):
            if (good / name).exists():
                shutil.copy2(good / name, self.studio / name)  # with its time: it is what was rendered
        self.trap = socket.create_server(("127.0.0.1", 0))  # nobody is to connect to it
        self.trap.setblocking(False)
        self.ports: set[int] = set()  # servers of the case's own, which may be asked

    @property
    def out(self) -> Path:
        return self.studio / "out"

    @property
    def trap_url(self) -> str:
        return f"http://127.0.0.1:{self.trap.getsockname()[1]}/trap"

    def trapped(self) -> bool:
        """Whether somebody connected to the trap."""
        try:
            self.trap.accept()[0].close()
        except BlockingIOError:
            return False
        return True

    def rendered(self) -> Path:
        """The output of the good title, to be tampered with."""
        shutil.copytree(self._good / "out", self.out)
        remembered = self.out / "one/inputs.json"
        remembered.write_text(remembered.read_text().replace(str(self._good), str(self.studio)))
        return self.out

    def file(self, name: str, content: bytes | str) -> Path:
        path = self.studio / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    # -- command lines ----------------------------------------------------------------------------------------------

    def manifest(self, text: bytes | str) -> list[str]:
        """Render a manifest with this text."""
        return ["render", str(self.file("m.yaml", text)), *RENDER]

    def catalog(self, **changes: Any) -> list[str]:
        return self.manifest(json.dumps(CATALOG | changes, indent=1))

    def title(self, **changes: Any) -> list[str]:
        return self.catalog(titles=[TITLE | changes])

    def portrait(self, content: bytes, name: str = "evil.png") -> list[str]:
        return self.title(portrait=self.file(name, content).name)

    def audio(self, content: bytes, name: str = "evil.wav") -> list[str]:
        return self.title(audio=self.file(name, content).name)

    def again(self) -> list[str]:
        """Render the good title again, over what has become of its output."""
        return ["render", str(self.studio / "m.yaml"), *RENDER]


Build = Callable[[Room], list[str] | list[list[str]]]


@dataclass(frozen=True)
class Case:
    """`build` makes the files and returns the `longtake` command lines to run; `says`: what the user must read.

    `verdict` is that of the last command. `seconds` (of processor) and `mebibytes` (beyond what an idle
    process has) bound the case.
    """

    name: str
    verdict: Verdict
    build: Build
    says: tuple[str, ...] = ()
    seconds: float = 15.0
    mebibytes: int = 512

    @property
    def group(self) -> str:
        return self.build.__module__.rpartition(".")[2]


def case(name: str, verdict: Verdict, *says: str, **bounds: Any) -> Callable[[Build], Case]:
    """Decorator: the function makes the case's files."""
    return lambda build: Case(name, verdict, build, says, **bounds)


def cases_in(names: dict[str, Any]) -> list[Case]:
    """The cases among a module's names, in order."""
    return [value for value in names.values() if isinstance(value, Case)]
