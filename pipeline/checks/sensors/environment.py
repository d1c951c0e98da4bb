"""The environment that the sensors run in: made once in the user's cache, or one that the user names."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.checks.sensors.pins import DOWNLOAD_MB, NEWEST_PYTHON, PINS, SIZE_MB, UNUSED, face_network, fingerprint
from pipeline.core.errors import SetupError

NAMED = "LONGTAKE_SENSORS"  # a folder with an environment that holds what PINS names
INSTALL_SECONDS = 1800
PROBE = "import sysconfig, mediapipe, dlib, numpy, cv2; print(sysconfig.get_paths()['purelib'])"
REMEDY = (
    "make it where there is a network, or name an environment that holds these packages with --environment or "
    f"{NAMED} (docs/evaluation.md)"
)


@dataclass(frozen=True)
class Environment:
    python: Path
    face_network: Path


def usual_place() -> Path:
    """In the user's cache, named by what is in it."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "longtake" / f"sensors-{fingerprint()}"


def sensors_environment(given: Path | None = None, say: Callable[[str], None] = lambda text: None) -> Environment:
    """The environment `given` or named by LONGTAKE_SENSORS, else the usual one, which is made if it is not there.

    Raises SetupError.
    """
    named = given or (Path(os.environ[NAMED]) if os.environ.get(NAMED) else None)
    if named is not None:
        return _checked(named, "name the folder of a virtual environment that holds " + ", ".join(PINS[:4]))
    folder = usual_place()
    if not folder.is_dir():
        _make(folder, say)
    return _checked(folder, f"remove {folder}; the next call makes it anew")


def _make(folder: Path, say: Callable[[str], None]) -> None:
    """Whole or not at all: made beside its place, then renamed."""
    if sys.version_info[:2] > NEWEST_PYTHON:
        raise SetupError(
            f"the sensors' environment cannot be made: this is Python {sys.version_info[0]}.{sys.version_info[1]}, "
            f"{PINS[0]} is built for Python {NEWEST_PYTHON[0]}.{NEWEST_PYTHON[1]} at most; make one with that and name "
            f"it with --environment or {NAMED} (docs/evaluation.md)"
        )
    say(
        f"sensors: installing {PINS[0]}, {PINS[1]}, {PINS[2]} and what they need in {folder}, once: "
        f"a download of {DOWNLOAD_MB} MB, {SIZE_MB} MB on disk"
    )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=folder.name + ".", dir=folder.parent))
    except OSError as error:
        raise SetupError(f"{folder}: cannot be made ({error}); {REMEDY}") from error
    try:
        _run([sys.executable, "-m", "venv", str(part)])
        pip = [str(_python(part)), "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
        _run([*pip, "--no-deps", "--only-binary", ":all:", *PINS])
        packages = Path(_run([str(_python(part)), "-c", PROBE]).strip().splitlines()[-1])
        for name in UNUSED:
            (packages / name).unlink(missing_ok=True)
        try:
            part.rename(folder)
        except OSError:
            if not folder.is_dir():  # another command was first
                raise
    except OSError as error:
        raise SetupError(f"{folder}: cannot be made ({error}); {REMEDY}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _checked(folder: Path, remedy: str) -> Environment:
    python = _python(folder)
    if not python.is_file():
        raise SetupError(f"{folder}: no environment for the sensors ({python} is missing); {remedy}")
    try:
        probe, clean = [str(python), "-c", PROBE], clean_variables()
        found = subprocess.run(probe, capture_output=True, text=True, timeout=300, env=clean)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SetupError(f"{folder}: its Python does not run ({error}); {remedy}") from error
    if found.returncode:
        raise SetupError(f"{folder}: lacks what the sensors need ({_last_line(found.stderr)}); {remedy}")
    try:
        return Environment(python, face_network(Path(found.stdout.strip().splitlines()[-1])))
    except ValueError as error:
        raise SetupError(f"{error}; {remedy}") from error


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, env=clean_variables())
    except subprocess.TimeoutExpired as error:
        raise SetupError(
            f"the sensors' environment was not made within {INSTALL_SECONDS // 60} minutes; {REMEDY}"
        ) from error
    if done.returncode:
        raise SetupError(f"the sensors' environment cannot be made ({_last_line(done.stderr)}); {REMEDY}")
    return done.stdout


def clean_variables() -> dict[str, str]:
    """This process's variables without those that would bring its own packages along."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}


def _python(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _last_line(told: str) -> str:
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"
