"""The published scripts' loops, run with stand-ins for the networks as they were when the numbers were recorded."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from models.image.alignment import TEMPLATE
from models.parts.clip_noise import draw_clip
from models.speech.wav2vec import audio_windows, frame_count, normalise
from tests.golden.cases import CASES, arrays, bgr, blocks, error, given, rgb
from tests.golden.published_loops import (
    ClipInput,
    audio_cuts,
    least_size,
    run_clips,
    upscale_frames,
    upscale_windows,
    written_files,
)
from tests.golden.tolerances_sr import SR

Record = Callable[[str, object], None]


def test_golden_random_order() -> None:
    want = arrays("random_order")
    generator = torch.Generator().manual_seed(42)
    for clip in range(3):
        uniform, noise = draw_clip(generator, 512, (1, 4, 16, 64, 64), torch.float32)
        assert np.array_equal(uniform[:8, :8], want[f"clip{clip}_mask_rand_8x8"])
        assert np.array_equal(noise.flatten()[:64], want[f"clip{clip}_latents_first64"])


def stand_in_features(samples: list[int]) -> Tensor:
    """[frames, 12, 4]: layer by layer a multiple of each frame's mean, spread, first and last sample."""
    cuts = []
    for index, (length, cut) in enumerate(zip(samples, audio_cuts(samples), strict=True)):
        wave = normalise(given("long_loop", f"wave_{index}", (length,)) * 0.1)
        wave = torch.cat([wave, torch.zeros(cut.silence)])
        part = len(wave) // cut.frames
        frames = wave[: part * cut.frames].view(cut.frames, part)
        facts = torch.stack([frames.mean(1), frames.std(1), frames[:, 0], frames[:, -1]], dim=1)
        cuts.append(torch.stack([(layer + 1) * facts for layer in range(1, 13)], dim=1))
    return torch.cat(cuts)


@pytest.mark.parametrize("case", ["long_loop", pytest.param("long_loop_batches", marks=pytest.mark.slow)])
def test_golden_long_loop(case: str, record_property: Record) -> None:
    want, meta = arrays(case), CASES[case]["meta"]
    samples = meta["segments_samples"]
    assert [cut.frames for cut in audio_cuts(samples)] == [call["frames"] for call in meta["audio_calls"]]
    features = stand_in_features(samples)
    clips = len(features) // 16
    assert clips == meta["number_of_clips"]

    portrait = blocks(given("long_loop", "pixels", (3, 16, 16)).clamp(-1, 1), 32)
    x0, x1, y0, y1 = meta["region_box_x0x1y0y1"]
    region = torch.zeros(3, 512, 512)
    region[:, y0:y1, x0:x1] = 1
    compared = []

    def render(clip: int, given: ClipInput) -> Tensor:
        if f"clip{clip}_audio" in want:
            audio = audio_windows(features, 16 * clip, 16, radius=2)[:, :, ::6]
            audio_error = error(audio[None], want[f"clip{clip}_audio"])
            image_error = error(given.images[None, :, :, 3::16, 5::16], want[f"clip{clip}_ref_image_stride16"])
            record_property(f"clip {clip}", (audio_error, image_error))
            assert audio_error <= SR["loop_audio"]
            assert image_error <= SR["loop_images"]
            compared.append(clip)
        return blocks(0.5 + 0.5 * torch.tanh(given.noise[0, :3]), 8).transpose(0, 1)

    videos = run_clips(portrait, region, clips, render, torch.float32)
    video = torch.cat([v[..., ::64, ::64] for v in videos]).transpose(0, 1)
    assert len(compared) == 5

    files = written_files(sum(frame_count(n) for n in samples), clips)
    wanted = [(int(w["file"][-10:-4]), w["start"], w["frames"]) for w in meta["writes"]]
    assert [tuple(file) for file in files] == wanted
    for index, file in enumerate(files):
        part = video[:, file.start : file.start + file.frames]
        assert error(part, want[f"write{index}_stride64"]) <= SR["loop_images"]


def stand_in_landmarks(frame: int) -> Tensor:
    """What the recorded run's detector was made to find: no face in frame 5, two in frame 13."""
    meta: dict[str, Any] = CASES["sr_loop"]["meta"]
    faces = {meta["no_face_in_frame"]: 0, meta["two_faces_in_frame"]: 2}.get(frame, 1)
    angle = math.radians(3 * ((frame % 7) - 3))
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    found = [
        np.array(TEMPLATE) @ turn.T * (0.7 - 0.2 * j) + [70 + frame + 60 * j, 60 + 2 * (frame % 5) + 90 * j]
        for j in range(faces)
    ]
    return torch.from_numpy(np.array(found).reshape(-1, 5, 2))


@pytest.mark.slow
def test_golden_sr_loop(record_property: Record) -> None:
    want, meta = arrays("sr_loop"), CASES["sr_loop"]["meta"]

    def frame(k: int) -> Tensor:
        levels = (given("sr_loop", f"frame_{k}", (16, 16, 3)) * 60 + 128).clamp(0, 255).to(torch.uint8)
        return blocks(rgb(levels.numpy()), 32)

    count = meta["input_frames"]
    means: list[float] = []

    def restore(crops: Tensor) -> Tensor:
        means.append(float(crops.mean()))
        assert list(crops[None].shape) == meta["windows"][len(means) - 1]["shape"]
        return 0.5 * crops + 0.15 * len(means) - 0.3

    written = upscale_frames(
        torch.stack([frame(k) for k in range(count)]),
        [stand_in_landmarks(k) for k in range(count)],
        restore,
        lambda picture: blocks(picture, 2),
        lambda face: torch.ones(512, 512, dtype=torch.long),
        meta["upscale"],
    )
    total = 0
    for index, picture in enumerate(written):
        levels = bgr(picture)
        found = error(levels[30::32, 30::32], want["frames_stride"][index])
        record_property(f"frame {index}", found)
        assert found <= SR["sr_loop_level"]
        assert levels.mean() == pytest.approx(want["frame_means"][index], abs=SR["sr_loop_mean"])
        total += 1
    assert total == meta["output_frames"]
    assert means == pytest.approx([window["mean"] for window in meta["windows"]], abs=1e-4)


def test_golden_sr_loop_reads_the_recorded_frames() -> None:
    meta = CASES["sr_loop"]["meta"]
    windows = upscale_windows(meta["input_frames"])
    assert [k for w in windows for k in range(w.start, w.stop)] == meta["detector_saw_frames"]
    written = [k for w in windows for k in range(w.keep, w.stop)]
    assert written == list(range(meta["output_frames"]))


def test_golden_small_pictures_are_enlarged_first() -> None:
    assert [*least_size(300, 400), 3] == CASES["align_paste"]["meta"]["runs"][-1]["read_image_300x400_becomes"]
    assert least_size(600, 700) == (600, 700)
