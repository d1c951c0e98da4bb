"""`python -m benchmarks.networks.large`: two seconds at 4096² through restorer, background and encoder.

Synthetic weights at the reduced width of family `mini`. Prints size, frames, peak memory after one window and at the
end, the difference between tiled and whole enlargement, and seconds a frame.
"""

from __future__ import annotations

import json
import resource
import time

import click
import numpy as np
import torch

from models.families.mini import MINI
from models.families.protocol import PictureOptions
from models.families.registry import FAMILIES, load_part
from models.restoration.background import double
from models.restoration.folded_enlarger import make_enlarger
from models.weights.synthetic import fill
from pipeline.core.timeline import GOP, gops_of
from pipeline.core.windows import gop_reads, gop_windows
from pipeline.media.encode import Encoding, decode_frames, encode_gop

FACE = np.array([150, 90, 360, 350], np.float32)


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def seam(side: int = 256, tile: int = 64, pad: int = 40) -> float:
    """Largest difference between the x2 network in tiles and on the whole picture, of values in 0..1."""
    network = fill(make_enlarger(MINI.enlarger)).eval()
    picture = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        return float((double(network, picture, tile, pad) - double(network, picture)).abs().max())


@click.command()
@click.option("--frames", default=50, show_default=True)
@click.option("--resolution", default=4096, show_default=True)
@click.option("--codec", default="av1", show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(frames: int, resolution: int, codec: str, as_json: bool) -> None:
    family = FAMILIES["mini"]
    part = load_part(family, "upscale", None, "cpu")
    options = PictureOptions(512, resolution, 0.7, "x2")
    rng = np.random.default_rng(3)
    start = rng.standard_normal((1, *family.latent_shape(512)))
    drift = rng.standard_normal((frames, *family.latent_shape(512))) * 0.05
    latents = (start + drift.cumsum(0)).astype(np.float16)
    encoding = Encoding(codec, resolution, resolution, 40)
    marks: list[float] = []
    shown: list[tuple[int, int]] = []
    began = time.monotonic()
    for gop in range(gops_of(frames)):
        first, stop = gop_reads(gop, frames)
        base = dict(zip(range(first, stop), part.decode(latents[first:stop], options), strict=True))

        def planes(gop: int = gop, base: dict[int, object] = base):  # type: ignore[no-untyped-def]
            for window in gop_windows(gop, frames):
                seen = [base[k] for k in window.reads]
                for frame in part.restore(seen, window.owned_places, {"face_box": FACE}, options):
                    yield part.planes(frame)
                    marks.append(peak_mib())

        fragment = encode_gop(encoding, gop * GOP, planes())
        shown += [(frame.width, frame.height) for frame in decode_frames(fragment.init, [fragment.data])]
    seconds = time.monotonic() - began
    facts = {
        "frames": len(shown),
        "size": sorted(set(shown)),
        "peak_mib_after_one_window": round(marks[min(11, len(marks) - 1)]),
        "peak_mib_at_the_end": round(marks[-1]),
        "tiled_against_whole": seam(),
        "seconds_per_frame": round(seconds / frames, 2),
    }
    click.echo(json.dumps(facts, indent=1) if as_json else "\n".join(f"{k:28}{v}" for k, v in facts.items()))


if __name__ == "__main__":
    main()
