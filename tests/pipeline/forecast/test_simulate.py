"""The simulated run: the real scheduler on a virtual clock, against what can be computed by hand."""

from __future__ import annotations

import time
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline import plan
from pipeline.core.errors import UserError
from pipeline.forecast import gantt, simulate
from pipeline.forecast.call_times import CallTimes
from pipeline.forecast.cluster_spec import parse_cluster
from pipeline.forecast.simulate import Machine, Simulation, Title
from pipeline.scheduler.pools import Limits
from pipeline.scheduler.title_work import TitleWork
from pipeline.scheduler.work import Scanned
from tests.conftest import Rendered, write_manifest

ROOT = Path(__file__).parents[3]
QUICK = CallTimes(
    seconds_per_clip=0.1,
    seconds_per_gop=0.3,
    call=0.0,
    sound=0.0,
    portrait=0.0,
    features=0.0,
    playlist=0.0,
    finish=0.5,
    finish_gop=0.0,
)

ONE = Limits(upscale=4)


def title(name: str, gops: int, times: CallTimes = QUICK, **more: Any) -> Title:
    work = TitleWork(id=name, priority=0, gops=gops, blocks=1, segment=10, block_of_gop=(1_000_000, 48), **more)
    return Title(work, gops * 3, times)


def run(titles: list[Title], limits: Limits = ONE, **machines: Machine) -> Simulation:
    return simulate.simulate(titles, limits, machines)  # type: ignore[arg-type]


def test_one_title_takes_its_chain_its_last_gop_and_publishing() -> None:
    found = run([title("one", 40)])
    assert found.makespan == pytest.approx(40 * 0.3 + 0.3 + 0.5, abs=0.31)  # a call may hold more than one last GOP
    assert found.done == {"one": found.makespan}
    assert found.busy("chain") == pytest.approx(12.0)
    assert found.busy("upscale") == pytest.approx(12.0)
    assert not found.unfinished


def test_many_titles_fill_the_chains() -> None:
    titles = [title(f"t{number}", 10 + number) for number in range(20)]
    found = run(titles, Limits(chain=2, lanes=2, upscale=8), chain=Machine(batch=1.0))
    work = sum(10 + number for number in range(20)) * 0.3 / 4
    assert work < found.makespan < work * 1.15 + 1
    assert found.utilisation("chain") > 0.85


def test_a_batch_of_two_lanes_that_gains_nothing_takes_twice_as_long() -> None:
    titles = [title("a", 20), title("b", 20)]
    free, dear = (run(titles, Limits(lanes=2, upscale=4), chain=Machine(batch=cost)) for cost in (1.0, None))
    assert dear.busy("chain") == pytest.approx(2 * free.busy("chain"))


def test_what_the_store_holds_is_not_made_again() -> None:
    half = Scanned("one", True, True, (0,), 20, tuple(range(20)), False)
    found = run([replace(title("one", 40), found=half)])
    assert found.busy("chain") == pytest.approx(20 * 0.3)


def test_starting_machines_takes_time() -> None:
    found = run([title("one", 4)], chain=Machine(start=100.0), upscale=Machine(start=100.0))
    assert 100 < found.makespan < 210
    assert found.life("chain") > 100


def test_preemption_costs_time_and_is_the_same_every_time() -> None:
    titles = [title(f"t{number}", 60) for number in range(4)]
    limits = Limits(chain=4, upscale=6)
    machines = [{role: Machine(1.0, rate) for role in ("chain", "upscale")} for rate in (0.0, 400.0, 400.0)]
    calm, *shaken = (run(titles, limits, **one) for one in machines)
    assert shaken[0].makespan == shaken[1].makespan > calm.makespan
    assert shaken[0].preemptions > 0
    assert len(shaken[0].done) == 4
    assert sum(call.lost for call in shaken[0].calls) > 0
    # What was whole when a machine went is not made again: less than a GOP is lost each time.
    assert shaken[0].busy("chain") < calm.busy("chain") + 0.3 * shaken[0].preemptions + 1e-6


def test_coarse_steps_hardly_change_the_forecast(monkeypatch: pytest.MonkeyPatch) -> None:
    titles = [title(f"t{number}", 100 + 5 * number) for number in range(12)]
    fine = run(titles, Limits(chain=3, upscale=4))
    monkeypatch.setattr(simulate, "MOST_STEPS", 300)
    coarse = run(titles, Limits(chain=3, upscale=4))
    assert (fine.step, coarse.step) == (1, 6)
    assert coarse.makespan == pytest.approx(fine.makespan, rel=0.03)
    assert coarse.busy("chain") == pytest.approx(fine.busy("chain"))
    assert coarse.busy("upscale") == pytest.approx(fine.busy("upscale"))


def test_titles_that_cannot_be_done_are_named() -> None:
    found = run([title("never", 3, replace(QUICK, seconds_per_clip=simulate.HORIZON))])
    assert list(found.unfinished) == ["never"]


def test_the_chart_shows_every_worker_as_svg_and_png(tmp_path: Path) -> None:
    found = run([title("a<b", 30), title("c", 10)], Limits(chain=2, upscale=3), upscale=Machine(preemptions=400.0))
    picture = gantt.draw(found)
    root = ElementTree.fromstring(gantt.svg(picture))
    labels = [one.text or "" for one in root.iter("{http://www.w3.org/2000/svg}title")]
    for worker, life in found.workers.items():
        if life.busy:
            assert any(label.startswith(f"{worker}: ") for label in labels), worker
    assert any("a<b" in label for label in labels)
    assert any("taken away" in label for label in labels) == any(call.lost for call in found.calls)
    gantt.write(found, str(tmp_path / "run.png"))
    with Image.open(tmp_path / "run.png") as image:
        assert image.size == (picture.width, picture.height)
        assert len(image.getcolors(1 << 20) or ()) > 3
    with pytest.raises(UserError, match=r"\.svg or \.png"):
        gantt.write(found, str(tmp_path / "run.jpg"))
    with pytest.raises(UserError, match="No such file"):
        gantt.write(found, str(tmp_path / "none" / "run.svg"))


def test_a_description_says_all_that_is_wrong_with_it() -> None:
    text = "chain: {workers: 0, lane: 2}\nupscale: {workers: 4, price: cheap}\n"
    with pytest.raises(UserError) as error:
        parse_cluster(text, "mine.yaml")
    for part in ("mine.yaml: chain.workers", "chain.lane:", "upscale.price", "'cheap'", "cluster/spec.yaml"):
        assert part in str(error.value)
    for text in ("- 1", "a: [", ""):
        with pytest.raises(UserError, match="see cluster/spec"):
            parse_cluster(text, "mine.yaml")


def test_the_example_is_one() -> None:
    spec = parse_cluster((ROOT / "cluster/spec.yaml").read_text(), "spec.yaml")
    assert spec.chain.device == "h100"
    assert spec.upscale.preemptions > 0


SPEC = """\
chain: {workers: 2, price: 3.0}
upscale: {workers: 2, price: 0.5, preemptions: 0.1, idle: 60}
head: {price: 0.4}
"""


def test_the_command_prints_hours_money_and_when_each_title_is_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = write_manifest(tmp_path, [480, 960])
    spec = tmp_path / "cluster.yaml"
    spec.write_text(SPEC)
    assert plan.run([str(manifest), "--cluster", str(spec), "--gantt", str(tmp_path / "run.svg")]) == 0
    said = capsys.readouterr().out
    for part in ("title-0: done after 0:00:", "title-1: done after", "All done after", "USD", "chain (default device)"):
        assert part in said, said
    assert (tmp_path / "run.svg").read_text().startswith("<svg")
    assert not (tmp_path / "out" / "title-0" / "chain").exists()


def test_the_command_is_calibrated_by_what_was_rendered(
    finished: Rendered, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import json

    manifest = write_manifest(tmp_path, [480])
    spec = tmp_path / "cluster.yaml"
    spec.write_text(SPEC)
    found = []
    for more in ([], ["--calibrate", str(finished.output)], ["--calibrate", str(finished.manifest)]):
        assert plan.run([str(manifest), "--cluster", str(spec), "--json", *more]) == 0
        found.append(json.loads(capsys.readouterr().out))
    assert [one["calibrated_from_records"] > 0 for one in found] == [False, True, True]
    assert found[0]["makespan_seconds"] != found[1]["makespan_seconds"]
    assert set(found[0]["titles"]) == {"title-0"}
    total = found[0]["money"]
    assert total["total"] == pytest.approx(total["head"] + total["chain"] + total["upscale"], abs=0.02)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--gantt", "x.svg"], "--cluster FILE"),
        (["--cluster", "nowhere.yaml"], "nowhere.yaml: No such file"),
        (["--cluster", "SPEC", "--gantt", "x.jpg"], "ends in .svg or .png"),
        (["--cluster", "SPEC", "--calibrate", "EMPTY"], "no records"),
        (["--cluster", "cluster/spec.yaml"], "no figures for family fake"),
    ],
)
def test_mistakes_are_said(
    more: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    (tmp_path / "empty").mkdir()
    (tmp_path / "spec.yaml").write_text(SPEC)
    names = {"SPEC": str(tmp_path / "spec.yaml"), "EMPTY": str(tmp_path / "empty")}
    manifest = write_manifest(tmp_path / "in", [60])
    assert plan.run([str(manifest), *(names.get(word, word) for word in more)]) == 2
    found = capsys.readouterr().err
    assert said in found
    assert "Traceback" not in found


def test_chains_begin_while_other_titles_are_still_being_prepared() -> None:
    """A sound track takes half a minute an hour: nobody waits for those of a whole catalog."""
    slow = replace(QUICK, sound=0.05, features=2.0)
    found = run([title(f"t{number:02}", 40, slow) for number in range(30)])
    first = min(call.start for call in found.calls if call.kind == "chain")
    last = max(call.end for call in found.calls if call.kind == "sound")
    assert first < 15 < 60 < last
    assert found.makespan < 30 * 40 * 0.3 * 1.1


@pytest.mark.slow
def test_a_thousand_hours_on_256_accelerators_take_less_than_a_minute_of_one_core() -> None:
    times = CallTimes(seconds_per_clip=5.5, seconds_per_gop=2.4)
    work = TitleWork(id="", priority=0, gops=1875, blocks=60, segment=10, reach=2)
    titles = [Title(replace(work, id=f"t{number:04}"), 5625, times) for number in range(1000)]
    limits = Limits(prepare=16, publish=4, chain=192, upscale=64, upscale_after=256)
    started = time.process_time()
    found = run(titles, limits, chain=Machine(start=240.0), upscale=Machine(start=240.0))
    took = time.process_time() - started
    print(f"{took:.1f} s of processor time in steps of {found.step} GOPs: {found.makespan / 3600:.1f} hours")
    assert len(found.done) == 1000
    least = 1000 * 5625 * 5.5 / 192
    assert least < found.makespan < least * 1.2
    assert took < 60


def test_retakes_are_simulated() -> None:
    """A title of 6 GOPs of which two are made once more: the scene that they stand in is chained to its end."""
    whole = title("book", 6)
    works = (
        replace(whole.work, id="book@0", film="book", shown=((0, 2), (4, 6))),
        replace(whole.work, id="book@1", film="book", first=2, gops=2),
    )
    scenes = tuple(replace(whole, work=work) for work in works)
    found = run([replace(whole, work=replace(whole.work, in_scenes=True, joined=True), scenes=scenes)])
    assert not found.unfinished
    assert found.busy("chain") == pytest.approx(8 * 0.3)
    assert found.busy("upscale") == pytest.approx((6 + 2) * 0.3)  # of the scenes, and the two joins
