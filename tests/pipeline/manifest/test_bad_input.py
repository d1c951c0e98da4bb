"""Every case ends with exit code 2, a message that names file, key and remedy, and nothing written to the output."""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.driver.preflight import IN_JOB
from pipeline.manifest import yaml_text as manifest_yaml
from pipeline.render import run
from tests.support.media_sources import noise, program, sound

TITLE: dict[str, Any] = {"id": "one", "portrait": "face.png", "audio": "voice.wav", "resolution": 64}
MANIFEST: dict[str, Any] = {"version": 1, "output": "out", "family": "fake", "titles": [TITLE]}


class Studio:
    """A folder with a portrait and a second of sound, in which something is about to be wrong."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch):
        self.folder, self.patch = folder, patch

    def file(self, name: str, content: bytes = b"") -> Path:
        path = self.folder / name
        path.write_bytes(content)
        return path

    def text(self, content: str | bytes) -> list[str]:
        """The command line for a manifest with this text."""
        return [str(self.file("m.yaml", content.encode() if isinstance(content, str) else content))]

    def manifest(self, **changes: Any) -> list[str]:
        return self.text(json.dumps(MANIFEST | changes, indent=1))

    def title(self, **changes: Any) -> list[str]:
        return self.manifest(titles=[TITLE | changes])

    def portrait(self, name: str, content: bytes) -> list[str]:
        return self.title(portrait=self.file(name, content).name)

    def audio(self, name: str, content: bytes) -> list[str]:
        return self.title(audio=self.file(name, content).name)

    def content(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def environment(self, arguments: list[str], **variables: str) -> list[str]:
        for name, value in variables.items():
            self.patch.setenv(name, value)
        return arguments


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("studio")
    pixels = np.random.default_rng(0).integers(0, 256, (96, 80, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "face.png")
    Image.fromarray(pixels).save(folder / "face.jpg", quality=95)
    Image.fromarray(pixels).save(folder / "face.gif")
    Image.fromarray(pixels[:, :40]).save(folder / "tiny.png")
    sound(folder / "voice.wav", noise(16_000), 16_000)
    sound(folder / "voice.flac", noise(16_000), 16_000)
    still = ["-f", "lavfi", "-i", "color=size=64x64:rate=25:duration=1"]
    program(*still, folder / "mute.mp4")
    return folder


@pytest.fixture
def studio(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Studio:
    for file in good.iterdir():
        os.link(file, tmp_path / file.name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(IN_JOB, raising=False)
    return Studio(tmp_path, monkeypatch)


@dataclass(frozen=True)
class Case:
    """`needles`: what the message must hold: file, key, remedy."""

    name: str
    build: Callable[[Studio], list[str]]
    needles: tuple[str, ...]


def case(name: str, build: Callable[[Studio], list[str]], *needles: str) -> Any:
    return pytest.param(Case(name, build, needles), id=name)


def bomb() -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    return "\n".join(lines)


def huge_png() -> bytes:
    """The head of a picture of 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    )


def spoilt(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes(255 - byte for byte in data[middle : middle + 200]) + data[middle + 200 :]


def pipe(studio: Studio) -> list[str]:
    os.mkfifo(studio.folder / "pipe.wav")
    return studio.title(audio="pipe.wav")


def loop(studio: Studio) -> list[str]:
    (studio.folder / "loop.png").symlink_to(studio.folder / "loop.png")
    return studio.title(portrait="loop.png")


def prompts(*pairs: tuple[Any, str]) -> Callable[[Studio], list[str]]:
    return lambda studio: studio.title(prompts=[{"at": at, "text": text} for at, text in pairs])


def title(**changes: Any) -> Callable[[Studio], list[str]]:
    return lambda studio: studio.title(**changes)


def manifest(**changes: Any) -> Callable[[Studio], list[str]]:
    return lambda studio: studio.manifest(**changes)


def text(content: str | bytes) -> Callable[[Studio], list[str]]:
    return lambda studio: studio.text(content)


CASES = [
    # the manifest as a file
    case("manifest missing", lambda s: [str(s.folder / "none.yaml")], "none.yaml", "no such file; correct the path"),
    case("manifest is a folder", lambda s: [str(s.folder)], "manifest: is a folder", "name a file"),
    case("manifest at an unknown protocol", lambda s: ["s4://b/m.yaml"], "s4://b/m.yaml", "did you mean s3://?"),
    case("manifest empty", text(""), "m.yaml: is empty", "expected version, output, family and titles"),
    case("manifest not UTF-8", text(b"version: 1\nid: \xe9\n"), "m.yaml:2", "not UTF-8", "save the manifest as UTF-8"),
    case("manifest not YAML", text("version: 1\ntitles: [\n"), "m.yaml:3", "not valid YAML", "correct the syntax"),
    case("manifest is a list", text("- 1\n"), "m.yaml:1", "expected a mapping with version, output, family and titles"),
    case("manifest too large", text(b"#" * (manifest_yaml.MAX_BYTES + 1)), "m.yaml", "larger than 16 MiB", "split"),
    case("alias bomb", text(bomb()), "m.yaml:2: a1", "alias *a0 is not accepted", "write the value out"),
    case("python tag", text("a: !!python/object/apply:os.system [ls]\n"), "m.yaml:1: a", "tag", "without a tag"),
    case("deep nesting", text("a: " + "[" * 60 + "]" * 60), "m.yaml:1", "nested more than 20 deep", "needs no more"),
    case(
        "duplicate key",
        text("version: 1\nversion: 1\n"),
        "m.yaml:2: version",
        "given twice (first in line 1)",
        "remove",
    ),
    case("key not a word", text("version: 1\n7: 1\n"), "m.yaml:2", "key 7: expected a word", "put it in quotes"),
    case("two documents", text("version: 1\n---\nversion: 1\n"), "m.yaml:2", "second document", "one document a file"),
    # keys and values
    case("unknown key", title(portait="x"), "m.yaml:11: titles[0].portait", "unknown key", "did you mean portrait?"),
    case("title's key in defaults", manifest(defaults={"id": "x"}), "defaults.id", "it belongs in a title"),
    case("wrong type", title(steps="20"), "titles[0].steps", 'value "20"', "write it without quotes"),
    case(
        "true is no number", title(steps=True), "titles[0].steps", "value true", "expected a whole number from 1 to 200"
    ),
    case("null", title(crf=None), "titles[0].crf", "value null", "give a value or remove the key"),
    case("unknown version", manifest(version=2), "m.yaml:2: version", "value 2", "expected 1"),
    case("no titles", manifest(titles=[]), "m.yaml", "titles: value []", "expected a list with at least one title"),
    case("title is text", manifest(titles=["one"]), "titles[0]", 'value "one"', "expected a mapping with id, portrait"),
    case("output missing", manifest(output=None), "m.yaml:3: output", "value null", "expected a folder or URL"),
    case("unknown family", manifest(family="fakes"), "m.yaml:4: family", 'value "fakes"', "did you mean fake?"),
    case("unknown codec", title(codec="h265"), "titles[0].codec", "expected h264, hevc or av1", "did you mean hevc?"),
    case("crf beyond the codec", title(crf=60), "titles[0].crf", "value 60: expected 1 to 51 for h264", "smaller"),
    case(
        "eight bits without a compiler",
        title(linears="int8"),
        "titles[0].linears",
        'value "int8": expected compile: on beside it',
        "takes longer",
    ),
    case("resolution", title(resolution=100), "titles[0].resolution", "value 100", "any multiple of 16 from 64"),
    case(
        "resolution below base_size",
        title(base_size=128),
        "titles[0]",
        "smaller than base_size 128",
        "raise resolution or lower",
    ),
    case("base_size", title(base_size=66), "titles[0].base_size", "value 66: expected a multiple of 16", "choose one"),
    case("segment_frames", title(segment_frames=100), "titles[0].segment_frames", "value 100", "a multiple of 48"),
    case("fidelity", title(fidelity=1.5), "titles[0].fidelity", "value 1.5: expected a number from 0 to 1", "choose"),
    case("face_box without area", title(face_box=[1, 1, 0, 5]), "titles[0].face_box", "value [1, 1, 0, 5]", "an area"),
    case("face_box beyond", title(face_box=[1, 1, 90, 5]), "titles[0].face_box", "80x96 pixels", "inside it"),
    case("id with ../", title(id="../up"), "m.yaml", "titles[0].id", 'value "../up"', "for example up"),
    case("id reserved", title(id="con"), "titles[0].id", "reserved", "choose another"),
    case("id ends in a dot", title(id="a."), "titles[0].id", "must not end in a dot", "write a"),
    case("duplicate ids", manifest(titles=[TITLE, TITLE]), "titles[1].id", "used before in line 7", "its own id"),
    case("--only unknown", lambda s: [*s.title(), "--only", "two"], "m.yaml", "--only two", "no such title", "one"),
    # prompts
    case("prompts out of order", prompts((0.5, "a"), (0.2, "b")), "titles[0].prompts[1].at", "value 0.2", "in order"),
    case(
        "prompt past the end",
        prompts((0, "a"), (1, "b")),
        "titles[0].prompts[1].at",
        "ends at 0:00:01",
        "move or remove",
    ),
    case("prompt before the start", prompts((-1, "a")), "titles[0].prompts[0].at", "value -1", "expected seconds"),
    case("prompt without words", prompts((0, " ")), "titles[0].prompts[0].text", "expected 1 to 500 characters"),
    case("prompt too long", prompts((0, "a" * 501)), "titles[0].prompts[0].text", "of 501 characters", "1 to 500"),
    case("prompt with control characters", prompts((0, "a\u001bb")), "prompts[0].text", "without control characters"),
    # portraits
    case("portrait missing", title(portrait="none.png"), "m.yaml:8: titles[0].portrait", "none.png", "no such file"),
    case("portrait is a folder", title(portrait="."), "titles[0].portrait", "is a folder; name a file"),
    case("portrait empty", lambda s: s.portrait("empty.png", b""), "titles[0].portrait", "empty.png", "is empty"),
    case(
        "portrait is text",
        lambda s: s.portrait("words.png", b"words" * 99),
        "titles[0].portrait",
        "words.png",
        "convert it to one of these",
    ),
    case(
        "portrait cut off",
        lambda s: s.portrait("cut.jpg", s.content("face.jpg")[:900]),
        "cut.jpg",
        "export it again",
    ),
    case(
        "portrait huge",
        lambda s: s.portrait("huge.png", huge_png()),
        "titles[0].portrait",
        "huge.png",
        "make the picture smaller",
    ),
    case(
        "portrait too small",
        title(portrait="tiny.png"),
        "titles[0].portrait",
        "40×96 pixels",
        "both edges must have 64",
    ),
    case(
        "portrait in another format",
        title(portrait="face.gif"),
        "face.gif",
        "not a PNG, JPEG or WebP picture (it is GIF)",
        "convert it to one of these",
    ),
    case(
        "portrait is a sound", title(portrait="voice.wav"), "titles[0].portrait", "voice.wav", "not a PNG, JPEG or WebP"
    ),
    case("portrait is a loop of links", loop, "titles[0].portrait", "loop.png", "cannot be read", "check the path"),
    case(
        "portrait in an archive", title(portrait="zip://a.png::b.zip"), "titles[0].portrait", "not accepted", "unpack"
    ),
    case(
        "portrait at a dead host",
        title(portrait="http://user:hidden@127.0.0.1:9/a.png?key=hidden"),
        *("titles[0].portrait", "http://***@127.0.0.1:9/a.png?key=***", "correct the address"),
    ),
    # audio
    case("audio missing", title(audio="none.wav"), "m.yaml:9: titles[0].audio", "none.wav", "no such file"),
    case("one of a list missing", title(audio=["voice.wav", "no.wav"]), "titles[0].audio[1]", "no.wav", "no such file"),
    case("audio list empty", title(audio=[]), "titles[0].audio", "value []", "a list of them"),
    case("audio empty", lambda s: s.audio("empty.wav", b""), "titles[0].audio", "empty.wav", "is empty"),
    case(
        "audio of zero length",
        lambda s: s.audio("zero.wav", sound(s.folder / "zero.wav", noise(0), 16_000).read_bytes()),
        *("titles[0].audio", "zero.wav", "no samples", "give a file"),
    ),
    case("audio is text", lambda s: s.audio("words.mp3", b"words " * 999), "titles[0].audio", "words.mp3", "export"),
    case("audio spoilt", lambda s: s.audio("bad.flac", spoilt(s.content("voice.flac"))), "audio", "bad.flac", "export"),
    case("audio cut off", lambda s: s.audio("cut.flac", s.content("voice.flac")[:-999]), "audio", "cut.flac", "export"),
    case(
        "video without audio", title(audio="mute.mp4"), "titles[0].audio", "mute.mp4", "holds no sound", "give a sound"
    ),
    case(
        "audio is a playlist",
        lambda s: s.audio("list.m3u8", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n"),
        *("titles[0].audio", "list.m3u8", ";"),
    ),
    case("audio is a pipe", pipe, "titles[0].audio", "pipe.wav", "no ordinary file", "name a file"),
    # where results go, and what is needed
    case(
        "output is a file", lambda s: s.manifest(output=s.file("taken", b"x").name), "taken", "cannot write", "choose"
    ),
    case("output below a file", manifest(output="voice.wav/out"), "voice.wav/out", "cannot write", "choose a folder"),
    case("output at an unknown protocol", manifest(output="s4://b/x"), "m.yaml:3: output", "did you mean s3://?"),
    case(
        "--output at an unknown protocol",
        lambda s: [*s.title(), "--output", "s4://b"],
        "--output",
        "did you mean s3://?",
    ),
    case(
        "relative output in a Ray job",
        lambda s: s.environment(s.title(), **{IN_JOB: "{}"}),
        *("output", "'out'", "inside a Ray job", "give --output an absolute path"),
    ),
    case(
        "ffmpeg missing",
        lambda s: s.environment(s.title(), LONGTAKE_FFMPEG="/nowhere/ffmpeg"),
        *("/nowhere/ffmpeg", "does not run", "set LONGTAKE_FFMPEG"),
    ),
]


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_refused(case: Case, studio: Studio, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [*case.build(studio), "--executor", "inline"]
    before = contents(studio.folder)
    assert run(arguments) == 2
    message = capsys.readouterr().err
    for needle in case.needles:
        assert needle in message
    assert "Traceback" not in message
    assert "hidden" not in message
    assert contents(studio.folder) == before


def contents(folder: Path) -> dict[str, int]:
    """Every path below a folder, with its size."""
    return {str(path.relative_to(folder)): path.lstat().st_size for path in sorted(folder.rglob("*"))}


def test_the_table_would_notice_a_good_manifest(studio: Studio, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*studio.title(), "--executor", "inline", "--dry-run"]) == 0, capsys.readouterr().err


def test_mistakes_of_manifest_and_inputs_are_told_for_every_title(
    studio: Studio, capsys: pytest.CaptureFixture[str]
) -> None:
    titles = [
        TITLE | {"id": "a", "portrait": "none.png", "audio": ["voice.wav", "none.wav"]},
        TITLE | {"id": "b", "audio": "mute.mp4", "prompts": [{"at": 0, "text": "calm"}]},
        TITLE | {"id": "c", "prompts": [{"at": 5, "text": "late"}]},
    ]
    assert run([*studio.manifest(titles=titles), "--executor", "inline"]) == 2
    message = capsys.readouterr().err
    keys = ["titles[0].portrait", "titles[0].audio[1]", "titles[1].audio[0]", "titles[2].prompts[0].at"]
    assert [key for key in keys if key in message] == keys
    assert not (studio.folder / "out").exists()


def test_titles_without_mistakes_go_on_where_that_is_asked_for(
    studio: Studio, capsys: pytest.CaptureFixture[str]
) -> None:
    titles = [TITLE, TITLE | {"id": "b", "steps": 0}, TITLE | {"id": "c", "audio": "none.wav"}]
    arguments = [*studio.manifest(titles=titles), "--executor", "inline", "--dry-run"]
    assert run(arguments) == 2
    assert run([*arguments, "--skip-invalid"]) == 1
    message = capsys.readouterr().err
    assert "skipped: " in message
    assert "titles[1].steps: value 0" in message
    assert "titles[2].audio" in message
