"""The ffmpeg program: where it is, and how it is run on files that nobody vouches for.

Input reaches the program as an open file (`fd:`) or a pipe. The protocol whitelist holds only these two, so a playlist
or a reference inside a file can neither open another file nor reach the network, whatever the container is.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import IO

import ffmpeg as graph
import imageio_ffmpeg
from ffmpeg.nodes import FilterableStream, OutputStream

from pipeline.core.errors import LongtakeError, SetupError
from pipeline.core.scratch import NO_ROOM, ScratchFull, no_room

OLDEST = 6  # the first version with the fd: protocol
PROTOCOLS = "fd,pipe"
TIME_LIMIT = 2 * 3600  # seconds without anything that it was given or made; ten hours of speech decode in minutes
LOOK_EVERY = 1.0  # seconds between two looks at what it has made
# Containers that carry their own sound. Playlists, concat scripts, device inputs and module trackers stay out.
SOUND_FORMATS = (
    "wav,w64,rf64,aiff,caf,au,mp3,aac,flac,ogg,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,"
    "asf,ac3,eac3,amr,amrnb,amrwb,ape,wv,tta,mpc,mpc8,dsf,avi,mpegts,mpeg,flv"
)
_NOISE = re.compile(
    r"Task finished|Terminating thread|Error opening (input|output) files?\b|Last message repeated|"
    r"Error submitting packet|Error processing packet|Conversion failed|Nothing was written"
)
_NO_ROOM = ("No space left", "File too large", "Disk quota exceeded")
_ENDED_WITHOUT_ROOM = tuple(256 - number for number in NO_ROOM)  # exit codes, where it found no words
_FIRST_WORDS = 4096  # bytes of the program's messages that are kept: the first ones tell the cause
_DESCRIPTION = 16 << 20  # bytes of what it tells of a file; ten thousand chapters are 2 MiB
LOOK_LIMIT = 600  # seconds


class FfmpegFailed(LongtakeError):
    """The program failed; `said` is its own first message in short, `late` tells that it ran out of time."""

    def __init__(self, said: str, late: bool = False):
        self.said, self.late = said, late
        super().__init__(f"ffmpeg: {said}")


class FfmpegKilled(FfmpegFailed):
    """Something outside ended the program, for example the kernel for want of memory: no fault of what it read."""

    exit_code = 75

    def __init__(self, number: int):
        name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
        super().__init__(f"ended from outside by {name}, perhaps for want of memory or disk; run again")


@lru_cache(maxsize=8)
def _checked(program: str) -> tuple[str, str]:
    remedy = "set LONGTAKE_FFMPEG to an ffmpeg program, or reinstall with: pip install imageio-ffmpeg"
    try:
        reply = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise SetupError(f"ffmpeg: {program!r} does not run ({reason}); {remedy}") from None
    words = reply.stdout.split()
    if words[:2] != ["ffmpeg", "version"] or len(words) < 3:
        raise SetupError(f"ffmpeg: {program!r} is another program; {remedy}")
    number = re.match(r"n?(\d+)\.", words[2])  # builds from git have no number and are taken as new
    if number and int(number[1]) < OLDEST:
        raise SetupError(f"ffmpeg: {program!r} is version {words[2]}, {OLDEST}.0 or newer is needed; {remedy}")
    return program, words[2]


def binary() -> str:
    """Path of the program: LONGTAKE_FFMPEG, else the one that imageio-ffmpeg carries. Raises SetupError."""
    chosen = os.environ.get("LONGTAKE_FFMPEG")
    if not chosen:
        try:
            chosen = imageio_ffmpeg.get_ffmpeg_exe()
        except RuntimeError:
            raise SetupError(
                "ffmpeg: no program found; pip install imageio-ffmpeg, or set LONGTAKE_FFMPEG to one"
            ) from None
    return _checked(chosen)[0]


def version() -> str:
    """The program's version as it states it, for hashes and reports."""
    return _checked(binary())[1]


def outside_sound(track: int = 0, untrimmed: bool = False) -> FilterableStream:
    """A sound stream of an untrusted file that is handed over as standard input; `untrimmed`: with all that its packets
    decode to."""
    more = {"flags2": "skip_manual"} if untrimmed else {}
    return graph.input("fd:", protocol_whitelist=PROTOCOLS, format_whitelist=SOUND_FORMATS, **more)[f"a:{track}"]


def to_file(path: Path) -> str:
    """A local path as an output name that no spelling of it can turn into another protocol or an option."""
    return f"file:{os.path.abspath(path)}"


def _short(messages: bytes) -> str:
    lines: list[str] = []
    for line in messages.decode("utf-8", "replace").splitlines():
        line = re.sub(r"^(\[[^\]]*\] )+", "", line).strip()
        line = re.sub(r"(?:file:)?/(?:[^\s'\":/]+/)*([^\s'\":/]+)", r"\1", line)  # only a file's name leaves here
        if line and not _NOISE.search(line) and line not in lines:
            lines.append(line.rstrip("."))
    if not lines:  # the noise alone ends with the cause: Error submitting packet to decoder: Invalid data found …
        causes = re.findall(rb"(?:Error|error) .*?: ([A-Z][^\n:]*)", messages)
        return causes[0].decode("utf-8", "replace").rstrip(".)") if causes else ""
    return "; ".join(lines[:2])[:240]


class Run:
    """A running program: its pipes and, once it has ended, what it `said` in short."""

    def __init__(self, process: subprocess.Popen[bytes], alive: Callable[[], None]):
        self._process, self._alive = process, alive
        self.said = ""
        self.moved = time.monotonic()

    def feed(self, data: bytes | memoryview) -> None:
        """Give it more bytes, as soon as it takes them."""
        self.stdin.write(data)
        self.move()

    def move(self) -> None:
        """It has taken or made something."""
        self.moved = time.monotonic()
        self._alive()

    @property
    def stdin(self) -> IO[bytes]:
        assert self._process.stdin is not None, "started without a pipe"
        return self._process.stdin

    @property
    def stdout(self) -> IO[bytes]:
        assert self._process.stdout is not None, "started without a pipe"
        return self._process.stdout


def _close(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(BrokenPipeError):
                pipe.close()


def _state(files: Sequence[Path]) -> list[tuple[int, int] | None]:
    """What tells that a file has changed."""
    found: list[tuple[int, int] | None] = []
    for path in files:
        try:
            facts = path.stat()
        except OSError:
            found.append(None)
        else:
            found.append((facts.st_size, facts.st_mtime_ns))
    return found


@contextmanager
def running(
    output: OutputStream | Sequence[str],
    *,
    stdin: IO[bytes] | int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
    limit: float = TIME_LIMIT,
    alive: Callable[[], None] = lambda: None,
    makes: Sequence[Path] = (),
    strict: bool = True,
) -> Iterator[Run]:
    """Runs an ffmpeg-python output (or several merged), or plain arguments; on leaving, closes pipes and waits.

    `alive` is called, perhaps in another thread, whenever the program has been fed or one of the files that it `makes`
    has changed: also while nothing is left but to wait until a file of gigabytes has been put in order. `strict`: the
    first error anywhere ends it, else what cannot be decoded is passed over.

    Raises FfmpegFailed if the program fails or shows nothing of that for `limit` seconds, FfmpegKilled if something
    else ended it, ScratchFull if the disk is full. If the body raises, the program is killed. A program that is fed
    through a pipe and closes it early has failed: its message says more than the pipe.
    """
    arguments = output.get_args() if isinstance(output, OutputStream) else output
    command = [binary(), "-nostdin", "-hide_banner", "-v", "error", *(["-xerror"] if strict else []), "-y", *arguments]
    with tempfile.TemporaryFile() as messages:
        process = subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=messages)
        late, ended, broken = threading.Event(), threading.Event(), False
        run = Run(process, alive)

        def watch() -> None:
            seen = _state(makes)
            while not ended.wait(min(LOOK_EVERY, limit)):
                before, seen = seen, _state(makes)
                if seen != before:
                    run.move()
                elif time.monotonic() - run.moved >= limit:
                    late.set()
                    process.kill()
                    return

        threading.Thread(target=watch, name="ffmpeg", daemon=True).start()
        try:
            try:
                yield run
            except BrokenPipeError:
                if process.stdin is None:
                    raise
                broken = True
            _close(process)
            code = process.wait()
        finally:
            ended.set()
            if process.poll() is None:
                process.kill()
            _close(process)
            process.wait()
        messages.seek(0)
        run.said = _short(messages.read(_FIRST_WORDS))
        if late.is_set():
            raise FfmpegFailed(f"stopped after {limit:.0f} s", late=True)
        if code < 0:
            raise FfmpegKilled(-code)
        _room_for(code, run.said)
        if code or broken:
            raise FfmpegFailed(run.said or f"ended with code {code}")


def _room_for(code: int, said: str) -> None:
    """Raises StoreError where the program failed because a disk is full: that is no fault of what it read."""
    if code in _ENDED_WITHOUT_ROOM or (code and any(words in said for words in _NO_ROOM)):
        raise ScratchFull(no_room(f"ffmpeg: {said or 'no room for what it writes'}"))


@contextmanager
def feeding(sink: IO[bytes], blocks: Iterable[bytes]) -> Iterator[None]:
    """Writes blocks into the program's input beside whatever is done meanwhile, then closes it.

    A program that stops listening has its reasons, and says them.
    """

    def feed() -> None:
        with suppress(BrokenPipeError, ValueError):  # it has ended; its input was closed
            for block in blocks:
                sink.write(block)
        with suppress(BrokenPipeError, ValueError):
            sink.close()

    thread = threading.Thread(target=feed, daemon=True)
    thread.start()
    yield
    thread.join()


def described(stdin: IO[bytes] | int, blocks: Iterable[bytes] = ()) -> str:
    """What the program tells of an untrusted file before it decodes it; `blocks` are fed to it where `stdin` is PIPE.

    Raises FfmpegFailed for a file that it cannot open.
    """
    options = ["-protocol_whitelist", PROTOCOLS, "-format_whitelist", SOUND_FORMATS, "-i", "fd:"]
    command = [binary(), "-nostdin", "-hide_banner", "-v", "info", *options]
    with tempfile.TemporaryFile() as messages:
        process = subprocess.Popen(command, stdin=stdin, stdout=subprocess.DEVNULL, stderr=messages)
        try:
            if process.stdin is not None:
                with feeding(process.stdin, blocks):
                    process.wait(LOOK_LIMIT)
            process.wait(LOOK_LIMIT)
        except subprocess.TimeoutExpired:
            raise FfmpegFailed(f"stopped after {LOOK_LIMIT} s", late=True) from None
        finally:
            process.kill()
            process.wait()
        messages.seek(0)
        found = messages.read(_DESCRIPTION)
    if process.returncode < 0:
        raise FfmpegKilled(-process.returncode)
    if b"\nInput #0, " not in b"\n" + found:
        _room_for(process.returncode, _short(found))
        raise FfmpegFailed(_short(found) or "cannot be opened")
    return found.decode("utf-8", "replace")
