"""The plan: counts, bytes and time of a catalog before anything is rendered."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models.families.registry import FAMILIES
from pipeline import plan
from pipeline.forecast import costs, plan_table
from pipeline.manifest.options import Options, complete
from pipeline.media.sound_in.facts import AudioFacts
from pipeline.store.record import Stored
from pipeline.titles.title_hashes import Hashes
from pipeline.titles.title_plan import TitlePlan
from tests.conftest import Rendered

FAKE = FAMILIES["fake"]
PUBLISHED = replace(
    FAKE,
    name="hallo2",
    carry="pixels",
    base_sizes=(512,),
    latent_channels=4,
    default_steps=40,
    default_guidance=3.5,
)


def options_of(family: Any = FAKE, **given: Any) -> Options:
    return complete(given, family)


def title(frames: int = 90_000, **given: Any) -> TitlePlan:
    """An hour at 64 pixels unless told otherwise."""
    given.setdefault("resolution", 64)
    stored = Stored("_inputs/a", "a" * 64, 1000)
    return TitlePlan(
        id="hour",
        family="fake",
        weights=(),
        weights_hash="0",
        seed=1,
        priority=0,
        frames=frames,
        prompts=(),
        options=options_of(**given),
        portrait=stored,
        audio=(stored,),
        audio_facts=(AudioFacts(frames * 640, 16_000, 1),),
        face_embedding=None,
        hashes=Hashes("s", "c", "p", "t"),
    )


def planned(manifest: Path, capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    assert plan.run([str(manifest), "--json", *more]) == 0
    return json.loads(capsys.readouterr().out)


def test_counts_follow_from_the_sound(fake_manifest: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    found = planned(fake_manifest([1, 48, 97]), capsys)
    counts = [(one["id"], one["frames"], one["clips"], one["gops"]) for one in found["titles"]]
    assert counts == [("title-0", 1, 1, 1), ("title-1", 48, 3, 1), ("title-2", 97, 7, 3)]
    assert [found["total"][name] for name in ("titles", "frames", "clips", "gops")] == [3, 146, 11, 5]
    assert found["total"]["seconds"] == pytest.approx(146 / 25)


def test_nothing_is_written(fake_manifest: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    manifest = fake_manifest([30])
    before = sorted(manifest.parent.rglob("*"))
    planned(manifest, capsys)
    assert sorted(manifest.parent.rglob("*")) == before


def test_only_and_table(fake_manifest: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    manifest = fake_manifest([30, 60])
    assert [one["id"] for one in planned(manifest, capsys, "--only", "title-1")["titles"]] == ["title-1"]
    assert plan.run([str(manifest)]) == 0
    shown = capsys.readouterr().out
    assert "title-0" in shown
    assert "2 titles" in shown
    assert "Estimates: family fake on cpu" in shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--only", "nobody"], "--only nobody: no such title; it has title-0"),
        (["--workers", "2"], "expected two numbers above 0"),
        (["--workers", "0,1"], "expected two numbers above 0"),
        (["--device", "h100"], "no figures for family fake on it; expected cpu"),
        (["--device", "abacus"], "abacus"),
    ],
)
def test_bad_arguments(
    fake_manifest: Callable[..., Path], capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert plan.run([str(fake_manifest([30])), *arguments]) == 2
    assert said in capsys.readouterr().err


def test_bad_input_is_one_message(fake_manifest: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    manifest = fake_manifest([30])
    (manifest.parent / "audio-0.wav").write_bytes(b"")
    assert plan.run([str(manifest)]) == 2
    assert "titles[0].audio[0]" in capsys.readouterr().err


def test_estimate_of_the_objects_is_close(finished: Rendered, capsys: pytest.CaptureFixture[str]) -> None:
    """Latents, state, features and speech are computed exactly, but for the containers' few bytes."""
    stored = planned(finished.manifest, capsys)["titles"][0]["store_bytes"]
    for name, pattern, count in (
        ("latents", "chain/*/chain/objects/*-latents", 3),
        ("state", "chain/*/chain/objects/*-state", 3),
        ("features", "chain/*/features/objects/*", 1),
    ):
        sizes = [path.stat().st_size for path in (finished.output / finished.title).glob(pattern)]
        assert len(sizes) == count
        assert 0 <= sum(sizes) - stored[name] <= 100 * count, name


def test_published_family_takes_hours() -> None:
    """The figures' own sanity: an hour on one H100 is 5,625 clips of 5.5 s, and real time is far away."""
    speed = costs.speed_of(PUBLISHED)
    options = options_of(PUBLISHED, resolution=512)
    assert (speed.device, costs.clip_seconds(speed, options)) == ("h100", 5.5)
    assert costs.clip_seconds(speed, options_of(PUBLISHED, steps=20)) == pytest.approx(2.75)
    assert costs.clip_seconds(speed, options_of(PUBLISHED, guidance_scale=1)) == pytest.approx(5.5 * 0.53)
    frame = [costs.frame_seconds(speed, options_of(PUBLISHED, resolution=r)) for r in (512, 1024, 2048, 4096)]
    assert frame == sorted(frame)
    assert frame[3] - frame[2] == pytest.approx(37.6 / 316, rel=0.01)
    # 2160 is made by the passes up to 4096 and one resize down
    assert costs.frame_seconds(speed, options_of(PUBLISHED, resolution=2160)) == frame[3]
    assert costs.speed_of(PUBLISHED, "l4").seconds_per_clip > costs.speed_of(PUBLISHED, "rtx4090").seconds_per_clip


def test_every_family_can_be_planned() -> None:
    for family in FAMILIES.values():
        speed, options = costs.speed_of(family), complete({}, family)
        assert costs.clip_seconds(speed, options) > 0
        assert costs.frame_seconds(speed, options) > 0


def test_more_upscalers_help_until_the_chain_decides() -> None:
    def wall(upscalers: int) -> float:
        return costs.cost_of(title(), upscalers=upscalers).wall

    chain = costs.cost_of(title()).chain
    assert wall(1) > wall(4) >= chain
    assert wall(1000) == pytest.approx(wall(2000))


def test_chain_workers_share_titles_not_a_title() -> None:
    found = [costs.cost_of(title()) for _ in range(4)]
    one, two, many = (costs.catalog_wall(found, chains, 1000) for chains in (1, 2, 100))
    chain = found[0].chain
    assert 4 * chain < one < 4.5 * chain
    assert 2 * chain < two < 2.5 * chain
    assert chain < many < 1.5 * chain


def test_what_is_kept() -> None:
    stored = costs.store_bytes(title())
    assert stored.total == stored.kept("all") > stored.kept("final+hls") > stored.kept("final") > stored.final
    assert stored.latents == 90_000 * 64 * 2


def test_finer_quality_and_more_pixels_take_more_bytes() -> None:
    sizes = [
        costs.stream_bytes(options_of(**given), 1000)
        for given in ({"crf": 26}, {}, {"crf": 14}, {"crf": 14, "resolution": 2048})
    ]
    assert sizes == sorted(sizes)
    assert sizes[1] == pytest.approx(2 * sizes[0], abs=2)


def test_a_long_title_in_one_piece_is_told_of_scenes() -> None:
    short, long = title(frames=1000), title(frames=30 * 60 * 25)
    assert plan_table.proposal(short) == ""
    assert "`scenes: 10` parts it into about 3" in plan_table.proposal(long)
    parted = replace(long, options=long.options.changed(scenes=10))
    assert plan_table.proposal(parted) == ""
    one, four = (costs.cost_of(parted, chains=chains, upscalers=1000).wall for chains in (1, 4))
    assert four < one / 2
    assert costs.cost_of(long, chains=4, upscalers=1000).wall > 0.95 * one
    pictures = costs.store_bytes(long).fragments
    assert costs.store_bytes(parted).fragments == 2 * pictures  # a scene's own, and those of the film
