"""The sensors' environment and process, and what `evaluate` makes of them; the networks themselves only where slow."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from models.data.speech import read_recording
from models.drawn.closures import spoken_targets
from models.drawn.motion import motion
from models.measures.watching import find_face
from models.puppet.puppet import Puppet
from models.puppet.teeth import read_teeth
from models.puppet.track import track, track_of
from models.speech.spectrum import SAMPLES_A_FRAME
from pipeline import evaluate
from pipeline.checks.sensors import environment, measured, pins, process, worker
from pipeline.checks.sensors.environment import Environment, sensors_environment
from pipeline.checks.sensors.process import SensorProcess
from pipeline.core.command import run_command
from pipeline.core.errors import LongtakeError, SetupError
from pipeline.sources.portrait import read_portrait
from tests.conftest import render_inline, write_manifest
from tests.models.measures.test_watching import write_film
from tests.support.mesh_points import KnownFace, mesh_points

ROOT = Path(__file__).parents[3]
PICTURE = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)


def run(*arguments: str) -> int:
    return run_command(evaluate.command, list(arguments))


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of the networks: a face that opens its mouth every other frame."""

    @contextmanager
    def watching(place: Path | None, say: Any) -> Iterator[measured.Watch]:
        yield measured.Watch(KnownFace(lambda frame: mesh_points(opening=0.1 * (frame % 2))), say)

    monkeypatch.setattr(evaluate, "watching", watching)


@pytest.mark.usefixtures("known")
def test_titles_get_numbers_and_curves_of_both_kinds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = write_manifest(tmp_path, [{"id": "one", "frames": 60}, {"id": "two", "frames": 40}])
    assert render_inline(manifest) == 0
    capsys.readouterr()
    assert run(str(tmp_path / "out"), "one", "--sensors") == 0
    printed = capsys.readouterr().out
    assert printed.startswith("one: 60 frames")
    assert "mouth follows the sound (r)" in printed
    assert "lips follow the sound (r)" in printed
    kept = json.loads((tmp_path / "out/one/evaluation.json").read_text())
    assert kept["frames_without_a_face"] == 0
    assert kept["likeness_distance"] is not None  # the portrait is in the store
    assert {"identity", "lips", "lids", "likeness_distance"} <= kept["per_second"].keys()
    assert not (tmp_path / "out/two/evaluation.json").exists()


@pytest.mark.usefixtures("known")
def test_any_video_by_its_portrait_and_its_sound(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    film = write_film(tmp_path / "film.mp4", 60)
    more = ["--curves", str(tmp_path / "c.json"), "--landmarks", str(tmp_path / "points.npz")]
    portrait, sound = str(ROOT / "examples/portrait.png"), str(ROOT / "examples/speech.flac")
    assert run("--video", str(film), "--portrait", portrait, "--sound", sound, *more, "--json") == 0
    (found,) = json.loads(capsys.readouterr().out)["titles"]
    assert found["frames"] == 60
    assert found["lips_r"] is not None
    assert "per_second" not in found
    assert len(json.loads((tmp_path / "c.json").read_text())["per_second"]["lips"]) == 3
    assert np.load(tmp_path / "points.npz")["landmarks"].shape == (60, 478, 3)


@pytest.mark.usefixtures("known")
def test_a_video_without_sound_and_portrait(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    film = write_film(tmp_path / "film.mp4", 30)
    assert run("--video", str(film), "--curves", str(tmp_path / "c.svg")) == 0
    assert "lips follow the sound (r)                    -" in capsys.readouterr().out
    drawn = (tmp_path / "c.svg").read_text()
    assert "Opening of the lids" in drawn
    assert "Distance to the portrait" not in drawn


def test_mistakes_are_told_before_anything_is_installed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "_make", lambda folder, say: pytest.fail("installed"))
    film, text = str(write_film(tmp_path / "film.mp4", 4)), tmp_path / "text.mp4"
    text.write_text("no video")
    for arguments, told in (
        ((), "name one of them"),
        ((film, "--video", film), "name one of them"),
        (("--video", str(tmp_path / "none.mp4")), "none.mp4: no such file"),
        (("--video", str(text)), "text.mp4: cannot be read"),
        (("--video", film, "--portrait", str(tmp_path / "none.png")), "none.png: no such file"),
        (("--video", film, "--sound", film), "holds no sound"),
        (("--video", film, "--curves", "curves.png"), "ends in .json or .svg"),
        (("--video", film, "--face-box", "1", "1", "2", "2"), "go with a VIDEO alone"),
        ((film, "one"), "a TITLE goes with"),
        ((film, "--portrait", film), "goes with --video"),
    ):
        assert run(*arguments) == 2, arguments
        assert told in capsys.readouterr().err


def test_a_portrait_without_a_face_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def watching(place: Path | None, say: Any) -> Iterator[measured.Watch]:
        yield measured.Watch(KnownFace(lambda frame: None, lambda number: None), say)

    monkeypatch.setattr(evaluate, "watching", watching)
    film = write_film(tmp_path / "film.mp4", 4)
    assert run("--video", str(film), "--portrait", str(ROOT / "examples/portrait.png")) == 2
    assert "the networks find nobody in it" in capsys.readouterr().err


def test_an_environment_is_made_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No index answers: one sentence, and nothing is left."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(environment.NAMED, raising=False)

    def no_network(command: list[str]) -> str:
        if "pip" in command:
            raise SetupError("the sensors' environment cannot be made (no index); " + environment.REMEDY)
        return ""

    monkeypatch.setattr(environment, "_run", no_network)
    said: list[str] = []
    with pytest.raises(SetupError, match="name an environment"):
        sensors_environment(None, said.append)
    assert list((tmp_path / "longtake").iterdir()) == []
    assert len(said) == 1
    assert "mediapipe==0.10.21" in said[0]
    assert f"{pins.SIZE_MB} MB on disk" in said[0]


def test_a_python_that_is_too_new_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(environment.NAMED, raising=False)
    monkeypatch.setattr(environment, "NEWEST_PYTHON", (3, 10))
    with pytest.raises(SetupError, match=r"built for Python 3\.10 at most; make one with that"):
        sensors_environment()


def test_the_reason_of_pip_is_told(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"cannot be made \(no such package\); make it where"):
        environment._run([sys.executable, "-c", "import sys; sys.exit('some words\\nno such package')"])


def test_a_given_environment_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SetupError, match="no environment for the sensors"):
        sensors_environment(tmp_path / "nowhere")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").symlink_to(sys.executable)
    monkeypatch.setenv(environment.NAMED, str(tmp_path))
    with pytest.raises(SetupError, match="lacks what the sensors need"):
        sensors_environment()


def test_only_the_pinned_face_network_is_opened(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such file"):
        pins.face_network(tmp_path)
    (tmp_path / pins.FACE_NETWORK).parent.mkdir(parents=True)
    (tmp_path / pins.FACE_NETWORK).write_bytes(b"another")
    with pytest.raises(ValueError, match="has sha256"):
        pins.face_network(tmp_path)


def test_every_package_has_one_version() -> None:
    assert all(name.count("==") == 1 for name in pins.PINS)
    assert any("68" in name for name in pins.UNUSED)


class Told(worker.Networks):
    def __init__(self) -> None:
        self.asked: list[tuple[dict[str, Any], bytes]] = []

    def answer(self, asked: dict[str, Any], data: bytes) -> dict[str, Any]:
        self.asked.append((asked, data))
        return {"points": None}


def test_the_worker_reads_pictures_and_answers_each() -> None:
    networks, said = Told(), io.BytesIO()
    asked = b'{"do": "restart"}\n{"do": "next", "height": 2, "width": 3}\n' + PICTURE.tobytes() + b'{"do": "restart"}\n'
    worker.serve(networks, io.BytesIO(asked), said)
    assert [one["do"] for one, _ in networks.asked] == ["restart", "next", "restart"]
    assert networks.asked[1][1] == PICTURE.tobytes()
    assert said.getvalue() == b'{"points": null}\n' * 3


def test_a_process_is_spoken_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a program in place of the worker, which ends when it is shown a face."""
    program = tmp_path / "program.py"
    program.write_text(
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from pipeline.checks.sensors import worker\n"
        "class Sums(worker.Networks):\n"
        "    def __init__(self): pass\n"
        "    def answer(self, asked, data):\n"
        "        print('words of a library')\n"
        "        if asked['do'] == 'describe': sys.exit('out of luck')\n"
        "        return {'points': [[len(data), sum(data), 0]] if data else None}\n"
        "worker.Networks = lambda name: Sums()\n"
        "worker.main()\n"
    )
    monkeypatch.setattr(process, "WORKER", program)
    with SensorProcess(Environment(Path(sys.executable), tmp_path)) as sensors:
        sensors.restart()
        found = sensors.follow(PICTURE[:, ::-1])
        assert found is not None
        assert found.tolist() == [[18, int(PICTURE.sum()), 0]]
        with pytest.raises(LongtakeError, match="out of luck"):
            sensors.describe(PICTURE)


def index_answers(folder: Path) -> bool:
    """Whether pip is told of versions of a package, none of which is the one asked for."""
    asked = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", str(folder), "dlib-bin==0"]
    told = subprocess.run(asked, capture_output=True, text=True).stderr
    return "from versions:" in told and "from versions: none" not in told


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_networks_measure_a_film_of_which_everything_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In an environment made for this: the demo's drawn woman as a puppet, speaking; then standing still."""
    if not index_answers(tmp_path):
        pytest.skip("no package index answers: the sensors' environment cannot be made")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(environment.NAMED, raising=False)
    said: list[str] = []
    made = sensors_environment(None, said.append)
    assert len(said) == 1
    packages = made.face_network.parents[2]
    assert not any((packages / name).exists() for name in pins.UNUSED)
    size = sum(file.stat().st_size for file in environment.usual_place().rglob("*") if not file.is_symlink())
    assert 0.6 * pins.SIZE_MB < size / 1e6 < 1.2 * pins.SIZE_MB

    picture = read_portrait(ROOT / "examples/portrait.png", "portrait")
    with SensorProcess(made) as sensors:
        points = sensors.still(picture)
        assert points is not None
        assert find_face(picture[::4, ::4].copy(), sensors) is not None
    wave = read_recording(ROOT / "examples/speech.flac")
    frames = 150
    wave = wave[: frames * SAMPLES_A_FRAME]
    targets = spoken_targets(wave)
    held = track_of(motion(3, targets, composed=True)).from_the_portrait().limited(0.3, 0.2, 0.1)
    portrait, sound = str(ROOT / "examples/portrait.png"), str(ROOT / "examples/speech.flac")
    blinked = int(((held.blink[1:] > 0.7) & (held.blink[:-1] <= 0.7)).sum())
    found = {}
    for name, moving in (("speaking", held), ("still", track(frames))):
        film = tmp_path / f"{name}.mp4"
        with av.open(str(film), "w") as file:
            stream = file.add_stream("libx264", rate=25, options={"crf": "12"})
            stream.width, stream.height, stream.pix_fmt = picture.shape[1], picture.shape[0], "yuv420p"
            for frame in Puppet(picture, points, read_teeth()[0]).frames(moving):
                file.mux(stream.encode(av.VideoFrame.from_ndarray(frame.picture, format="rgb24")))
            file.mux(stream.encode())
        capsys.readouterr()
        assert run("--video", str(film), "--portrait", portrait, "--sound", sound, "--json") == 0
        (found[name],) = json.loads(capsys.readouterr().out)["titles"]
    speaking, still = found["speaking"], found["still"]
    assert speaking["frames_without_a_face"] == still["frames_without_a_face"] == 0
    assert speaking["lips_r"] > 0.85
    assert speaking["lips_lag_frames"] == 0
    assert abs(speaking["lips_r_shuffled"]) < 0.4
    assert abs(still["lips_r"]) < 0.4
    assert still["lips_reach"] < 0.2 * speaking["lips_reach"]
    assert abs(speaking["lid_blinks_per_minute"] * frames / 1500 - blinked) <= 1
    assert still["lid_blinks_per_minute"] == 0
    assert still["first_face_db"] > speaking["first_face_db"] - 1 > 30
    assert still["face_sharpness"] == pytest.approx(1, abs=0.08)
    assert still["likeness_distance"] < 0.2
    assert speaking["likeness_distance_95"] < 0.5
    assert still["swim"] < speaking["swim"]
