"""How much the upscaler computes at once: arithmetic on free memory, and what happens where memory runs out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from actors.upscale import UpscaleWorker
from benchmarks.networks.live_bytes import most_bytes
from models.families.fake import Upscale
from models.families.memory_plan import GROUPS, SHARE, TILES, Fitted, Footprint, Pieces, fitting, largest_input, needed
from models.families.protocol import PictureOptions
from models.families.registry import FAMILIES, HALLO2_FAMILY, MINI_FAMILY, load_part
from models.restoration.background import double
from models.weights.loading import make
from pipeline.intake.survey import plan_title, survey
from pipeline.manifest.catalog import load_manifest
from pipeline.scheduler.work import Job, Outcome, Work
from pipeline.store.opening import open_store
from pipeline.titles.title_plan import TitlePlan
from tests.conftest import render_inline, write_manifest

GIB = 1 << 30
HALLO2 = HALLO2_FAMILY.footprint
assert HALLO2 is not None
RESOLUTIONS = (512, 1024, 1080, 2048, 2160, 4096)

sizes = st.tuples(st.sampled_from((128, 256, 512)), st.sampled_from(RESOLUTIONS))
footprints = st.builds(
    Footprint, *(st.integers(1, 2000), st.integers(1, 1 << 30), st.integers(1, 1 << 27)), st.integers(1, GIB),
    st.integers(1, 200),
)  # fmt: skip
memory = st.integers(0, 200 * GIB)


@given(sizes)
def test_the_largest_input_is_that_of_the_last_pass(size: tuple[int, int]) -> None:
    base, resolution = size
    passes = 0
    while base << passes < resolution:
        passes += 1
    assert largest_input(base, resolution) == (base << passes >> 1 if passes else 0)


@given(memory, sizes, footprints)
def test_what_is_chosen_fits_or_is_the_smallest(free: int, size: tuple[int, int], of: Footprint) -> None:
    found = fitting(free, *size, of)
    assert found.group in GROUPS
    assert found.tile in TILES
    assert needed(found, *size, of) <= free * SHARE or found == Pieces(1, TILES[-1])


@given(memory, memory, sizes, footprints)
def test_more_memory_never_means_smaller_tiles(one: int, two: int, size: tuple[int, int], of: Footprint) -> None:
    less, more = (fitting(free, *size, of) for free in sorted((one, two)))
    wide = 1 << 20
    assert (less.tile or wide) <= (more.tile or wide)
    if less.tile == more.tile:
        assert less.group <= more.group


@given(memory, sizes, footprints)
def test_no_tile_is_as_large_as_the_picture(free: int, size: tuple[int, int], of: Footprint) -> None:
    found = fitting(free, *size, of)
    assert found.tile < max(largest_input(*size), TILES[-1] + 1)


@pytest.mark.parametrize(
    ("resolution", "pieces"),
    [(1024, Pieces(8, 0)), (2048, Pieces(4, 0)), (2160, Pieces(1, 0)), (4096, Pieces(1, 0))],
)
def test_cards_of_twelve_gigabytes_hold_whole_pictures(resolution: int, pieces: Pieces) -> None:
    """Of 12 GB the driver, weights and kernels take about two."""
    assert fitting(10 * 10**9, 512, resolution, HALLO2) == pieces


def test_a_smaller_card_gets_tiles_and_a_larger_one_groups() -> None:
    assert fitting(6 * GIB, 512, 4096, HALLO2) == Pieces(1, 1024)
    assert fitting(76 * GIB, 512, 4096, HALLO2) == Pieces(8, 0)


def fitted(group: int = 1, tile: int = 400) -> Fitted:
    return Fitted(Pieces(group, tile), HALLO2, 1, 40)


def test_the_published_networks_hold_what_their_family_says() -> None:
    """Counted on the meta device, where nothing is computed: at most a tenth less than the figures."""
    assert HALLO2 is not None
    assert HALLO2_FAMILY.networks is not None
    vae, restorer, enlarger = (make(name, HALLO2_FAMILY.networks).eval() for name in ("vae", "restorer", "enlarger"))
    with torch.device("meta"), torch.inference_mode():
        picture, latents, frames = torch.empty(1, 3, 1024, 1024), torch.empty(1, 4, 64, 64), torch.empty(1, 3, 512, 512)
        features, taps = restorer.encode(frames, restorer.config.fused_sizes)
        rows = torch.empty_like(features)
        counted = {
            "enlarged_pixel": most_bytes(lambda: double(enlarger, picture)) / 1024**2,
            "restored_frame": most_bytes(lambda: restorer.draw(rows, taps, 0.7)),
            "kept_frame": sum(one.nbytes for one in taps.values()),
            "decoded_frame": most_bytes(lambda: vae.decode(latents)),
        }
    for name, found in counted.items():
        assert 0.9 * getattr(HALLO2, name) <= found <= getattr(HALLO2, name) * 1.001, name


class TestFitted:
    def test_a_processor_keeps_the_family_s_own(self) -> None:
        one = fitted()
        one.choose(512, 4096, None, {"group": 8, "tile": 0})
        assert (one.now, one.told()) == (Pieces(1, 400), {})

    def test_an_accelerator_tells_what_it_chose_and_keeps_to_it(self) -> None:
        one = fitted(8, 0)
        one.choose(512, 4096, 76 * GIB)
        assert one.told() == {"group": 8, "tile": 0}
        one.choose(512, 4096, 6 * GIB)
        assert one.told() == {"group": 8, "tile": 0}

    def test_a_title_goes_on_in_the_pieces_that_it_was_begun_with(self) -> None:
        one = fitted()
        one.choose(512, 4096, 76 * GIB, {"group": 2, "tile": 512, "device": "x"})
        assert one.told() == {"group": 2, "tile": 512}
        one.choose(512, 4096, 76 * GIB, {"device": "x"})
        assert one.told() == {"group": 8, "tile": 0}

    def test_memory_runs_out_once(self) -> None:
        one = fitted()
        one.choose(512, 4096, 76 * GIB)
        assert one.shrink()
        assert one.told() == {"group": 1, "tile": 1024}
        one.choose(512, 4096, 76 * GIB, {"group": 8, "tile": 0})  # remembered, whatever a title was begun with
        assert one.told() == {"group": 1, "tile": 1024}
        assert not one.shrink()

    def test_what_is_smallest_cannot_shrink(self) -> None:
        one = fitted(1, 128)
        one.choose(512, 1024, None)
        assert not one.shrink()
        assert one.told() == {}


def test_pieces_change_a_picture_by_rounding_alone_where_tiles_see_enough() -> None:
    """The small family's x2 network sees less than a tile's margin."""
    part = load_part(MINI_FAMILY, "upscale", None, "cpu")
    options = PictureOptions(128, 256, 0.7, "x2")
    latents = np.random.default_rng(2).standard_normal((16, *MINI_FAMILY.latent_shape(128))).astype(np.float16)
    window = [frame for k in range(0, 16, 4) for frame in part.decode(latents[k : k + 4], options)]
    face = {"face_box": np.array([30, 30, 90, 90], np.float32)}

    def pictures() -> torch.Tensor:
        return torch.stack([frame.picture for frame in part.restore(window, range(4, 7), face, options)])

    part.fit(options, None)
    plain, told = pictures(), part.numerics()
    assert not {"group", "tile"} & told.keys()
    for pieces in (Pieces(2, 0), Pieces(4, 64)):
        part._fitted.now = pieces
        part._take_pieces()
        assert torch.allclose(pictures(), plain, atol=1e-5)


# In the worker ---------------------------------------------------------------------------------------------------


def out_of_memory(monkeypatch: pytest.MonkeyPatch, times: int, shrinks: bool = True) -> list[int]:
    """`restore` fails so many times after its first frame; returned are the calls."""
    calls: list[int] = []
    plain: Callable[..., Any] = Upscale.restore

    def restore(self: Upscale, *arguments: Any) -> Any:
        calls.append(len(calls))
        number = len(calls)
        for frame in plain(self, *arguments):
            yield frame
            if number <= times:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3.00 GiB.\nmore")

    monkeypatch.setattr(Upscale, "restore", restore)
    monkeypatch.setattr(Upscale, "shrink", lambda self: shrinks)
    return calls


@pytest.fixture
def plan(tmp_path: Path) -> TitlePlan:
    """A title of 2 GOPs whose chain is done."""
    catalog = load_manifest(str(write_manifest(tmp_path, [{"id": "one", "frames": 60}])), families=FAMILIES)
    assert render_inline(tmp_path / "manifest.yaml") == 0
    (seen,), _ = survey(catalog, open_store(catalog.output))
    return plan_title(FAMILIES["fake"], seen)


def fragments(folder: Path) -> dict[str, str]:
    """Planes and fragment of every GOP, by first frame."""
    found = {}
    for path in folder.glob("out/one/stream/*/stream/*.json"):
        record = json.loads(path.read_text())
        found[path.name] = record["facts"]["planes"] + record["objects"]["fragment"]["sha256"]
    return found


def upscaled_again(tmp_path: Path, plan: TitlePlan) -> tuple[Outcome, dict[str, str]]:
    for path in tmp_path.glob("out/one/stream/*/stream/*.json"):
        path.unlink()
    worker = UpscaleWorker(str(tmp_path / "out"))
    (outcome,) = worker.run(Work(1, "upscale", (Job("one", "upscale", 0, 2),)), {"one": plan})
    return outcome, fragments(tmp_path)


def test_a_gop_that_ran_out_of_memory_is_made_again_from_its_beginning(
    tmp_path: Path, plan: TitlePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = fragments(tmp_path)
    calls = out_of_memory(monkeypatch, times=1)
    outcome, found = upscaled_again(tmp_path, plan)
    assert outcome.failure is None
    assert found == plain
    assert len(calls) == 1 + 4 + 1


@pytest.mark.parametrize("shrinks", [True, False])
def test_memory_that_does_not_suffice_says_what_to_change(
    tmp_path: Path, plan: TitlePlan, monkeypatch: pytest.MonkeyPatch, shrinks: bool
) -> None:
    calls = out_of_memory(monkeypatch, times=9, shrinks=shrinks)
    outcome, found = upscaled_again(tmp_path, plan)
    assert found == {}
    assert len(calls) == (2 if shrinks else 1)
    assert outcome.failure.cause == "memory"
    for part in ("title one: GOP 0 at resolution 64", "background: lanczos", "Tried to allocate 3.00 GiB"):
        assert part in outcome.failure.message
    assert "more\n" not in outcome.failure.message


def test_nothing_is_claimed_for_a_title_before_a_gop_has_fitted(
    tmp_path: Path, plan: TitlePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    (numerics,) = tmp_path.glob("out/one/stream/*/numerics-stream.json")
    numerics.unlink()
    out_of_memory(monkeypatch, times=9)
    upscaled_again(tmp_path, plan)
    assert not numerics.exists()
