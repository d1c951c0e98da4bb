"""A sound file decoded by the ffmpeg program; every failure becomes an InputError about the file."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO

from ffmpeg.nodes import OutputStream

from pipeline.core.errors import InputError
from pipeline.media import ffmpeg
from pipeline.media.sound_in.byte_layout import ByteLayout, FileView, Part, pieces
from pipeline.media.sound_in.facts import AudioFacts
from pipeline.media.sound_in.flac import layout_of_flac
from pipeline.media.sound_in.frames import layout_of_frames
from pipeline.media.sound_in.headers import layout_of_header
from pipeline.media.sound_in.look import Look, read_look
from pipeline.media.sound_in.ogg import layout_of_ogg
from pipeline.media.sound_in.second import like_the_first

READABLE = "wav, mp3, m4a, m4b, flac, ogg, opus and what else ffmpeg reads"


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        if not path.is_file():
            raise InputError("no such file", f"give the path of a sound file ({READABLE})", place=path.name)
        if path.stat().st_size == 0:
            raise InputError("the file is empty (0 bytes)", f"give a sound file ({READABLE})", place=path.name)
        stream = path.open("rb")
    except OSError as error:
        raise InputError(
            f"cannot be read ({error.strerror})", "check the path and its permissions", place=path.name
        ) from None
    with stream:
        yield stream


def _refused(path: Path, error: ffmpeg.FfmpegFailed) -> InputError:
    """The user's text for a file that the program would not decode."""
    name, said = path.name, error.said
    if error.late:
        return InputError(f"decoding was {said}", "cut the file into smaller ones and list them", place=name)
    if "matches no streams" in said:
        return no_sound(name)
    if "not on whitelist" in said or "extension" in said:
        return InputError(
            "is a playlist or another kind of file that is not read as sound", f"use {READABLE}", place=name
        )
    return InputError(
        f"{name}: cannot be decoded as sound ({said}); the file is damaged, cut off or not sound: "
        f"export it again ({READABLE})"
    )


def no_sound(name: str) -> InputError:
    return InputError("holds no sound (a video or an image without an audio stream)", "give a sound file", place=name)


def layout_of(path: Path) -> ByteLayout:
    """What a file's bytes say. Raises InputError for a file that is missing, empty or unreadable."""
    with _opened(path) as stream:
        window = FileView(stream)
        for reader in (layout_of_header, layout_of_flac, layout_of_ogg, layout_of_frames):
            if found := reader(window):
                return found
        return ByteLayout(clocked=True, second=like_the_first(window))


def look_at(path: Path, parts: tuple[Part, ...]) -> Look:
    """What the program tells of a file, or of these parts of it. Raises InputError."""
    with _opened(path) as source:
        try:
            if not parts:
                return read_look(ffmpeg.described(source))
            return read_look(ffmpeg.described(subprocess.PIPE, pieces(source, parts)))
        except ffmpeg.FfmpegKilled:
            raise
        except ffmpeg.FfmpegFailed as error:
            raise _refused(path, error) from None


@contextmanager
def decoding(path: Path, outputs: OutputStream, *, parts: bool = False, strict: bool = True) -> Iterator[IO[bytes]]:
    """The program's standard output while it decodes a file, or the parts of it that its layout names.

    `strict`: an error anywhere is bad input.
    """
    chosen = layout_of(path).parts if parts else ()
    with _opened(path) as source:
        try:
            with ffmpeg.running(
                outputs, stdin=subprocess.PIPE if chosen else source, stdout=subprocess.PIPE, strict=strict
            ) as run:
                if chosen:
                    with ffmpeg.feeding(run.stdin, pieces(source, chosen)):
                        yield run.stdout
                else:
                    yield run.stdout
        except ffmpeg.FfmpegKilled:
            raise
        except ffmpeg.FfmpegFailed as error:
            raise _refused(path, error) from None
        if strict and "CRC mismatch" in run.said:  # Ogg pages that are dropped do not make the program fail
            raise _refused(path, ffmpeg.FfmpegFailed(run.said))


def decoding_of(path: Path, facts: AudioFacts, outputs: OutputStream) -> AbstractContextManager[IO[bytes]]:
    """The same once more, as the file was decoded when its facts were found."""
    return decoding(path, outputs, parts=facts.mended, strict=not facts.short)
