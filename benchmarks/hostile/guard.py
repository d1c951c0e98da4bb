"""A process of its own for every case: bounded in memory and time, and watched for what it touches."""

from __future__ import annotations

import contextlib
import io
import json
import multiprocessing
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.hostile.case import CANARY, CODES, Case, Room

MOST_MEMORY = 4 << 30  # bytes of address space beyond what the process has when it starts
MOST_FILE = 4 << 30
SPARE = 8.0  # times its bound in processor seconds that a case may take by the clock before it is ended
IN_HAND = 10.0  # seconds for threads to finish what a failed command began
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = ("os.mkdir", "os.remove", "os.rmdir", "os.rename", "os.link", "os.symlink", "os.truncate", "os.chmod")


@dataclass
class Result:
    """What came of a case; `wrong` is empty if that is what should."""

    name: str
    group: str
    verdict: str
    seconds: float = 0.0
    mebibytes: float = 0.0
    """Peak of the process and of the programs that it started, beyond what it held at its start."""
    said: str = ""
    wrong: list[str] = field(default_factory=list)


def run(case: Case, good: Path, folder: Path) -> Result:
    """Run a case in a child of this process, in a folder that is removed afterwards."""
    folder.mkdir()
    report = folder / "report.json"
    child = multiprocessing.get_context("fork").Process(target=_inside, args=(case, good, folder, report))
    child.start()
    end, programs = time.monotonic() + case.seconds * SPARE, 0.0
    while child.is_alive() and time.monotonic() < end:
        child.join(0.01)
        programs = max(programs, _programs_of(child.pid or 0))
    late = child.is_alive()
    if late:
        os.killpg(child.pid or 0, signal.SIGKILL)
    child.join()
    if report.exists() and not late:
        result = Result(**json.loads(report.read_text()))
        result.mebibytes = max(result.mebibytes, round(programs))
        if result.mebibytes > case.mebibytes:
            result.wrong.append(f"took {result.mebibytes:.0f} MiB, expected at most {case.mebibytes}")
    else:
        why = f"ended after {case.seconds * SPARE:.0f} s" if late else f"died with code {child.exitcode}"
        result = Result(case.name, case.group, "none", case.seconds * SPARE if late else 0.0, wrong=[why])
    shutil.rmtree(folder, ignore_errors=True)
    return result


def _inside(case: Case, good: Path, folder: Path, report: Path) -> None:
    os.setpgid(0, 0)  # so that what it started can be ended with it
    sys.dont_write_bytecode = True
    result = Result(case.name, case.group, "none")
    try:
        _observe(case, good, folder, result)
    except BaseException:  # noqa: BLE001 - told in the table
        result.wrong.append("".join(traceback.format_exc())[-3000:])
    report.write_text(json.dumps(asdict(result)))
    sys.stdout.flush()
    os._exit(0)  # servers and threads of the case are of no more interest


def _observe(case: Case, good: Path, folder: Path, result: Result) -> None:
    room = Room(folder / "room", good)
    os.environ["TMPDIR"] = tempfile.tempdir = str(room.scratch)
    os.chdir(room.studio)
    commands = case.build(room)
    if commands and isinstance(commands[0], str):
        commands = [commands]
    before, outside = _tree(room.studio, room.out), _tree(room.outside)
    start = _limit()
    strayed: list[str] = []
    texts: list[str] = []
    code = -1
    clock = _processor()
    with _watched(room, strayed):
        for command in commands:
            code, text = _longtake(command)  # type: ignore[arg-type]
            texts.append(text)
    result.seconds = round(_processor() - clock, 2)
    result.mebibytes = round(_peak() - start)
    result.said = texts[-1].strip()
    result.verdict = case.verdict if code == CODES[case.verdict] else f"exit {code}"
    whole = "\n".join(texts)
    wrong = result.wrong
    if code != CODES[case.verdict]:
        wrong.append(f"exit code {code}, expected {CODES[case.verdict]} ({case.verdict})")
    wrong += [f"not said: {text}" for text in case.says if text not in texts[-1]]
    if "Traceback" in whole:
        wrong.append("a traceback was printed")
    if CANARY in whole:
        wrong.append("the content of a file outside was printed")
    if found := _CONTROL.search(whole):
        wrong.append(f"a control character was printed: {found[0]!r}")
    if len(whole) > 400_000:
        wrong.append(f"{len(whole):,} characters were printed")
    if room.trapped():
        wrong.append("an address inside a file was asked")
    if _tree(room.outside) != outside:
        wrong.append("something outside of the output was changed")
    if _tree(room.studio, room.out) != before:
        wrong.append("something beside the output was changed")
    if left := _left(room.scratch):
        wrong.append(f"temporary files are left: {left[:3]}")
    if _holds(room.out, CANARY.encode()):
        wrong.append("the output holds the content of a file outside")
    wrong += strayed[:5]
    if result.seconds > case.seconds:
        wrong.append(f"took {result.seconds} s of processor, expected at most {case.seconds}")


def _left(scratch: Path) -> list[str]:
    """Temporary files that nobody is about to remove: a failed command leaves its threads what they have in hand."""
    end = time.monotonic() + IN_HAND
    while True:
        left = [path.name for path in scratch.iterdir() if path.name.startswith("longtake")]
        if not left or time.monotonic() > end:
            return left
        time.sleep(0.05)


def _longtake(command: list[str]) -> tuple[int, str]:
    """Exit code and all that was printed."""
    from pipeline.core.command import run_command
    from pipeline.main import group

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        code = run_command(group, command)
    return code, printed.getvalue()


def _processor() -> float:
    """Seconds of processor that this process and the programs that it ran have taken: the machine may be busy."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _limit() -> float:
    """Bound address space and files from here on; returns the resident MiB so far, and starts the peak anew."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    have = int(re.search(r"VmSize:\s+(\d+)", status)[1]) << 10  # type: ignore[index]
    resource.setrlimit(resource.RLIMIT_AS, (have + MOST_MEMORY, have + MOST_MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_FILE, MOST_FILE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]


def _programs_of(pid: int) -> float:
    """Peak MiB so far of the programs that a process has started and that still run."""
    peaks = [0.0]
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in path.read_text().split():
                # Before it becomes a program of its own a child shows the memory of its parent.
                if Path(f"/proc/{child}/comm").read_text() != Path(f"/proc/{pid}/comm").read_text():
                    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{child}/status").read_text())
                    peaks.append(int(found[1]) / 1024 if found else 0.0)
    return max(peaks)


def _peak() -> float:
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024  # type: ignore[index]


@contextlib.contextmanager
def _watched(room: Room, strayed: list[str]) -> Iterator[None]:
    """Note every write outside of output and scratch, every connection, and every program that is not ffmpeg."""
    allowed = (str(room.scratch), str(room.out))
    busy = True

    def inside(path: Any) -> bool:
        if isinstance(path, int) or path is None:
            return True
        full = os.path.abspath(os.fsdecode(path))
        if not os.path.isdir(os.path.dirname(full)):
            return True  # nothing can come of it
        return full in ("/dev/null", *allowed) or full.startswith(tuple(f"{one}/" for one in allowed))

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if not busy:
            return
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITES and not inside(arguments[0]):
            strayed.append(f"opened for writing: {arguments[0]}")
        elif event in _CHANGES:
            # Names in an open folder are of a tree that is being removed, whose top was judged.
            opened = any(isinstance(one, int) and one >= 0 for one in arguments[1:]) and event in (
                "os.remove",
                "os.rmdir",
            )
            places = arguments[1:2] if event in ("os.link", "os.symlink") else arguments[: 1 if opened else 2]
            named = [path for path in places if isinstance(path, (str, bytes)) and not opened]
            strayed.extend(f"{event} {os.fsdecode(path)}" for path in named if not inside(path))
        elif event == "socket.connect" and isinstance(arguments[1], tuple):
            if not (str(arguments[1][0]) == "127.0.0.1" and arguments[1][1] in room.ports):
                strayed.append(f"connected to {arguments[1]}")
        elif event in ("os.system", "os.exec", "os.posix_spawn") or (
            event == "subprocess.Popen" and "ffmpeg" not in os.path.basename(os.fsdecode(arguments[0]))
        ):
            strayed.append(f"ran {arguments[0]}")

    sys.addaudithook(hook)
    try:
        yield
    finally:
        busy = False


def _tree(folder: Path, without: Path | None = None) -> dict[str, tuple[int, int]]:
    """Every path below a folder, with kind and size and what it holds, if that is little."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if without is None or (path != without and without not in path.parents):
            facts = path.lstat()
            found[str(path)] = (facts.st_mode, facts.st_mtime_ns if not path.is_dir() else 0)
    return found


def _holds(folder: Path, text: bytes) -> bool:
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return any(text in path.read_bytes() for path in files if path.stat().st_size < 1 << 20)
