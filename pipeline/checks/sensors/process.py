"""The sensors' process, as this one sees it: a picture in, landmarks or a descriptor out."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from pipeline.checks.sensors.environment import Environment, clean_variables
from pipeline.core.errors import LongtakeError

Picture = NDArray[np.uint8]
Points = NDArray[np.float64]

WORKER = Path(__file__).with_name("worker.py")
QUIET = {"GLOG_minloglevel": "2", "TF_CPP_MIN_LOG_LEVEL": "2", "MPLCONFIGDIR": tempfile.gettempdir()}


class SensorProcess:
    """As `models.measures.watching.Sensors`; a context manager."""

    def __init__(self, environment: Environment) -> None:
        self._python = environment.python
        self._said = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            [str(environment.python), str(WORKER), str(environment.face_network)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, env=clean_variables() | QUIET,
        )  # fmt: skip

    def still(self, picture: Picture) -> Points | None:
        """Landmarks [478 3] of a face in a picture [h w 3] by itself, in its pixels."""
        return _points(self._answer("still", picture))

    def restart(self) -> None:
        """A film begins."""
        self._answer("restart")

    def follow(self, picture: Picture) -> Points | None:
        """Landmarks of a face in a film's next picture."""
        return _points(self._answer("next", picture))

    def describe(self, face: Picture) -> Points:
        """The 128 numbers of a face [150 150 3]."""
        return np.array(self._answer("describe", face)["face"])

    def _answer(self, what: str, picture: Picture | None = None) -> dict[str, object]:
        asked: dict[str, object] = {"do": what}
        if picture is not None:
            asked |= {"height": picture.shape[0], "width": picture.shape[1]}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(asked).encode() + b"\n")
            if picture is not None:
                self._process.stdin.write(np.ascontiguousarray(picture).data)
            self._process.stdin.flush()
        except OSError:
            self._ended()
        line = self._process.stdout.readline()
        if not line:
            self._ended()
        answer: dict[str, object] = json.loads(line)
        return answer

    def _ended(self) -> NoReturn:
        code = self._process.wait()
        self._said.seek(0)
        told = [line.strip() for line in self._said.read().decode(errors="replace").splitlines() if line.strip()]
        raise LongtakeError(
            f"the sensors' process {self._python} ended with {code} "
            f"({told[-1] if told else 'it said nothing'}); try again, or remove its environment: it is made anew"
        )

    def __enter__(self) -> SensorProcess:
        return self

    def __exit__(self, *error: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._process.stdout.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._said.close()


def _points(answer: dict[str, object]) -> Points | None:
    return None if answer["points"] is None else np.array(answer["points"])
