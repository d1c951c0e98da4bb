"""Takes of videos: the right frames, their sound, boxes where the face is, and an index of it all."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

from models.data import takes
from models.data.drawn_takes import Drawing, draw_take
from models.data.prepare_data import Cutting, cut_video, main, steady
from models.data.takes import AFTER, BEFORE, Take
from models.data.video_faces import VideoProblem, found_by, told
from models.faces.face_finding import FoundFace
from models.image.masks import Box
from models.speech.spectrum import SAMPLE_RATE, SAMPLES_A_FRAME
from tests.support.training_speech import corpus

pytestmark = pytest.mark.usefixtures("one_thread")

SIZE, FRAMES = 96, 60


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Take:
    return draw_take(0, Drawing(corpus(tmp_path_factory.mktemp("speech")), "train", SIZE, FRAMES, 1))


def film(path: Path, frames: Tensor, speech: Tensor, rate: int = 25) -> Path:
    """A video with sound, its portrait beside a grey margin, so that it is not square."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=rate, options={"crf": "12"})
        video.width, video.height, video.pix_fmt = SIZE + 32, SIZE, "yuv420p"
        audio = container.add_stream("pcm_s16le", rate=SAMPLE_RATE, layout="mono")
        for picture in frames:
            wide = np.full((SIZE, SIZE + 32, 3), 128, np.uint8)
            wide[:, 32:] = picture.permute(1, 2, 0).numpy()
            container.mux(video.encode(av.VideoFrame.from_ndarray(wide, "rgb24")))
        container.mux(video.encode())
        samples = (speech.clamp(-1, 1) * 32767).short().numpy()[None]
        sound = av.AudioFrame.from_ndarray(samples, "s16", "mono")
        sound.sample_rate, sound.pts, sound.time_base = SAMPLE_RATE, 0, Fraction(1, SAMPLE_RATE)
        container.mux(audio.encode(sound))
        container.mux(audio.encode())
    return path


@pytest.fixture(scope="module")
def video(drawn: Take, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    speech = drawn.speech[BEFORE * SAMPLES_A_FRAME : (BEFORE + FRAMES) * SAMPLES_A_FRAME]
    path = film(folder / "one.mkv", drawn.frames, speech)
    x0, y0, x1, y1 = drawn.face_boxes[0].tolist()
    a, b, c, d = drawn.lip_boxes[0].tolist()
    boxes = {"face_box": [x0 + 32, y0, x1 - x0, y1 - y0], "lip_box": [a + 32, b, c - a, d - b], "prompt": "smiling"}
    (folder / "one.json").write_text(json.dumps(boxes))
    return path


def test_a_folder_of_videos(video: Path, drawn: Take, tmp_path: Path) -> None:
    (video.parent / "two.mp4").write_text("no video")
    asked = [str(video.parent), str(tmp_path / "out"), "--size", "96", "--frames", "20"]
    ended = CliRunner().invoke(main, asked)
    assert ended.exit_code == 0, ended.output
    assert "two.mp4: left out: no two.json says where the face is" in ended.output
    assert "3 takes of 1 videos" in ended.output
    index = pq.read_table(tmp_path / "out" / "index.parquet").to_pylist()
    assert [row["first_frame"] for row in index] == [0, 20, 40]
    assert {(row["video"], row["prompt"], row["embedded"]) for row in index} == {("one.mkv", "smiling", False)}
    take = takes.read(tmp_path / "out" / f"{index[1]['take']}.safetensors")
    assert take.frames.shape == (20, 3, SIZE, SIZE)
    assert (take.frames.float() - drawn.frames[20:40].float()).abs().mean() < 6
    assert (take.frames.float() - drawn.frames[22:42].float()).abs().mean() > 0  # the test can tell moments apart
    assert take.prompt == "smiling"
    assert torch.allclose(take.face_boxes, drawn.face_boxes.expand(2, 4), atol=1.5)  # in the square's own pixels
    assert torch.allclose(take.lip_boxes, drawn.lip_boxes.expand(2, 4), atol=1.5)
    assert len(take.speech) == (BEFORE + 20 + AFTER) * SAMPLES_A_FRAME
    silent = (BEFORE - 20) * SAMPLES_A_FRAME  # before the video began
    heard = drawn.speech[BEFORE * SAMPLES_A_FRAME : (BEFORE + 40) * SAMPLES_A_FRAME]
    assert not take.speech[: silent - SAMPLES_A_FRAME].any()
    assert float(np.corrcoef(take.speech[silent:][: len(heard)].numpy(), heard.numpy())[0, 1]) > 0.99
    assert take.before == BEFORE
    again = CliRunner().invoke(main, asked)
    assert again.exit_code == 0
    assert pq.read_table(tmp_path / "out" / "index.parquet").to_pylist() == index


def test_faces_that_are_found(video: Path, drawn: Take, tmp_path: Path) -> None:
    x0, y0, x1, y1 = (drawn.face_boxes[0] + torch.tensor([32, 0, 32, 0])).tolist()
    points = np.array([[x0 + 15, y0 + 15], [x1 - 15, y0 + 15], [64, 50], [60, 64], [76, 64]], np.float64)
    face = FoundFace(Box(x0, y0, x1, y1), 0.9, points, np.arange(8, dtype=np.float32))
    calls: list[int] = []

    def find(picture: np.ndarray) -> list[FoundFace]:
        calls.append(len(calls))
        return [face, face] if len(calls) == 3 else [face]  # two faces in frame 24

    rows = list(cut_video(video, found_by(find), "", Cutting(96, 20, 1), tmp_path))
    assert [row["first_frame"] for row in rows] == [0, 40]
    assert all(row["embedded"] for row in rows)
    take = takes.read(tmp_path / f"{rows[0]['take']}.safetensors")
    assert take.embedding is not None
    assert take.embedding.tolist() == list(range(8))
    lips = take.fine_boxes[0, 0]
    assert 27 < float(lips[0]) < 45  # about the corners of the mouth, less the margin
    with pytest.raises(VideoProblem, match="no frame with exactly one face"):
        list(cut_video(video, found_by(lambda picture: []), "", Cutting(96, 20, 1), tmp_path))


def test_another_rate_is_brought_to_25(drawn: Take, tmp_path: Path) -> None:
    twice = drawn.frames[:20].repeat_interleave(2, dim=0)
    path = film(tmp_path / "fast.mkv", twice, drawn.speech[: 20 * SAMPLES_A_FRAME], rate=50)
    shown = list(steady(path))
    assert len(shown) == 20
    whole = torch.from_numpy(np.stack(shown))[:, :, 32:].permute(0, 3, 1, 2).float()
    assert (whole - drawn.frames[:20].float()).abs().mean() < 6


def test_mistakes(video: Path, tmp_path: Path) -> None:
    empty = CliRunner().invoke(main, [str(tmp_path), str(tmp_path / "out")])
    assert empty.exit_code == 2
    assert "holds no videos" in empty.output
    for text, reason in (
        ("{", "cannot be read"),
        ("{}", "expected face_box"),
        ('{"face_box": [1, 2, 3]}', "expected [x, y, width, height]"),
        ('{"face_box": [1, 2, 0, 3]}', "expected [x, y, width, height]"),
    ):
        path = tmp_path / "a.json"
        path.write_text(text)
        with pytest.raises(VideoProblem) as told_so:
            told(path)
        assert reason in str(told_so.value)
    with pytest.raises(VideoProblem, match="60 frames, a take has 100"):
        list(cut_video(video, told(video.with_suffix(".json"))[0], "", Cutting(96, 100, 1), tmp_path))
