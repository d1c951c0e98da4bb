"""What a frame of a photograph costs, stage by stage, beside family `mini` in the same run.

The family's own parts on `examples/photograph.png` and `examples/speech.flac`, one thread: processor time, which other
programs hardly change. `latents` are the chain's clips with a step each, `decoding` and `pictures` the upscaler's,
`planes` what the encoder takes, `mark` the watermark, `encoding` H.264 as a title has it. Once a title comes `prepare`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image

from models.data.speech import read_recording
from models.families.protocol import ClipOptions, Hints, Lane, PictureOptions
from models.families.registry import FAMILIES, load_part
from models.speech.spectrum import SAMPLES_A_FRAME
from models.speech.speech_level import speech_level
from models.weights.shipped import shipped_weights
from pipeline.core.windows import LENGTH, STRIDE
from pipeline.media.encode import CODECS, LARGEST, Encoding, GopEncoder
from pipeline.provenance.watermark import Watermark

CLIP = 16
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
STAGES = ("latents", "decoding", "pictures", "planes", "mark", "encoding")
CLIPS = 3  # of which the first is not timed, as the first window is not: they choose kernels and prepare the portrait
PAYLOAD = "0123456789ab"


class Timer:
    """Processor seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.warm = True

    def __call__(self, stage: str, work: Callable[[], Any]) -> Any:
        started = time.process_time()
        found = work()
        if self.warm:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.process_time() - started
        return found


def cost_of(family: str, size: int) -> dict[str, Any]:
    """Milliseconds a frame, by stage; `size`: of the film's shorter edge, as far as the longer one can be encoded."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    constants, weights = FAMILIES[family], str(shipped_weights(family))
    base = constants.base_sizes[0]
    picture = np.asarray(Image.open(EXAMPLES / "photograph.png").convert("RGB"))
    if not constants.moves:  # such a family shows a square
        edge = min(picture.shape[:2])
        top = (picture.shape[0] - edge) // 2
        picture = np.ascontiguousarray(picture[top : top + edge, :edge])
    height, width = picture.shape[:2]
    scale = min(size / min(height, width), LARGEST / max(height, width))
    shape = (round(width * scale / 2) * 2, round(height * scale / 2) * 2)
    timer = Timer()
    prepare, chain, upscale = (load_part(constants, part, weights, "cpu") for part in ("prepare", "chain", "upscale"))
    given, _ = timer("prepare", lambda: prepare.conditioning(picture, base, Hints()))
    if constants.moves:
        given |= {"pixels": picture}
    options = replace(PictureOptions(base, size, 0.5, "x2"), film=shape if constants.moves else None)
    upscale.fit(options, None)
    wave = read_recording(EXAMPLES / "speech.flac")[: CLIPS * CLIP * SAMPLES_A_FRAME].numpy()
    reach = constants.feature_reach
    heard = prepare.features(wave, 0, CLIPS * CLIP, 0, 0, speech_level([wave]))
    heard = np.concatenate([heard[:1].repeat(reach, 0), heard, heard[-1:].repeat(reach, 0)])
    state, bases, group = chain.start(given, 0, base), [], constants.decode_group
    for clip in range(CLIPS):
        timer.warm = clip > 0
        part = heard[clip * CLIP : (clip + 1) * CLIP + 2 * reach]
        lane = Lane(0, clip, given, state, part, None, ClipOptions(1, 1.0, base))
        ((latents, state),) = timer("latents", partial(chain.next_clip, [lane]))
        for start in range(0, CLIP, group):
            bases += timer("decoding", partial(upscale.decode, latents[start : start + group], options, given))
    mark, encoder = Watermark(PAYLOAD, shape[1], shape[0]), GopEncoder(Encoding("h264", *shape, CODECS["h264"].crf), 0)
    windows = (len(bases) - LENGTH) // STRIDE + 1
    for window in range(windows):
        timer.warm = window > 0
        own = bases[window * STRIDE : window * STRIDE + LENGTH]
        restored = upscale.restore(own, range(LENGTH - STRIDE, LENGTH), given, options)
        for _ in range(STRIDE):
            frame = timer("pictures", partial(next, restored))
            planes = np.array(timer("planes", partial(upscale.planes, frame)))
            timer("mark", partial(mark.mark, planes))
            timer("encoding", partial(encoder.add, planes))
    timer("encoding", encoder.finish)
    frames = {"latents": (CLIPS - 1) * CLIP, "decoding": (CLIPS - 1) * CLIP}
    each = {stage: 1000 * timer.seconds[stage] / frames.get(stage, (windows - 1) * STRIDE) for stage in STAGES}
    return {
        "family": family, "size": size, "film": shape, "prepare_seconds": timer.seconds["prepare"],
        "milliseconds": each,
        "sum_milliseconds": sum(each.values()), "frames_per_second_of_a_core": 1000 / sum(each.values()),
    }  # fmt: skip
