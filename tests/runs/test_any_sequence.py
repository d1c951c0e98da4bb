"""Whatever was rendered, removed, changed and broken: one more run ends with 0 and a quiet render's frames."""

from __future__ import annotations

import random
import re
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from pipeline import gc
from tests.conftest import render_inline, write_manifest
from tests.runs.test_identity import decoded
from tests.support.crashes import MOMENTS, Fault, Killed, failing

FRAMES = 4 * 48 + 20
STEPS = 6
CHANGES = {
    "seed": ("1", "2"),
    "crf": ("20", "25"),
    "keep": ("all", "final+hls", "final"),
    "title": ("One", "Another"),
    "loudness": ("-16", "-20"),
}
STAGES = ("sound", "loudness", "conditioning", "features", "chain", "stream", "done")


class Title:
    """A title in a folder, and everything that may happen to it."""

    def __init__(self, folder: Path, number: int):
        self.random, self.folder, self.kills = random.Random(number), folder, 0
        self.manifest = write_manifest(folder, [{"id": "one", "frames": FRAMES, "files": 0}])
        self.text = self.manifest.read_text()
        self.options = {name: values[0] for name, values in CHANGES.items()}
        self.said: list[str] = []
        self.write()

    def write(self) -> None:
        lines = "".join(f"  {name}: {value}\n" for name, value in self.options.items() if name not in ("seed", "title"))
        own = "".join(f"  {name}: {self.options[name]}\n" for name in ("seed", "title"))
        text = self.text.replace("defaults:\n", f"defaults:\n{lines}")
        self.manifest.write_text(re.sub(r"(?m)^- (.*\n)", lambda match: f"- {match[1]}{own}", text))

    def step(self) -> None:
        getattr(self, self.random.choice(["render", "killed", "gc", "change", "harm", "harm", "harm"]))()

    def render(self) -> None:
        self.said.append("render")
        assert render_inline(self.manifest) in (0, 1)

    def killed(self) -> None:
        self.kills += 1
        if self.kills > 2:  # a third time, with the same unit in hand, it would be the unit's fault
            return
        fault = Fault(self.random.randrange(1, 60), self.random.choice(MOMENTS))
        self.said.append(f"killed at {fault.at}")
        with suppress(Killed), failing(fault):
            render_inline(self.manifest)

    def gc(self) -> None:
        self.said.append("gc")
        gc.run([str(self.manifest), "--delete"])

    def change(self) -> None:
        name = self.random.choice(list(CHANGES))
        self.options[name] = self.random.choice(CHANGES[name])
        self.said.append(f"{name}: {self.options[name]}")
        self.write()

    def harm(self) -> None:
        """Something of a stage is gone, cut, or holds what another of its kind held."""
        stage = self.random.choice(STAGES)
        files = [path for path in sorted((self.folder / "out/one").rglob("*")) if path.is_file()]
        inside = [path for path in files if f"/{stage}/" in str(path) and path.suffix != ".void"]
        if stage == "done":
            inside += [path for path in files if path.name == "final.mp4"]
        if not inside:
            return
        path = self.random.choice(inside)
        data = path.read_bytes()
        how = self.random.choice(["gone", "cut", "other"])
        self.said.append(f"{how}: {path.relative_to(self.folder)}")
        if how == "gone":
            path.unlink()
        elif how == "cut":
            path.write_bytes(data[: len(data) // 2])
        else:
            other = self.random.choice([one for one in inside if one.suffix == path.suffix]).read_bytes()
            path.write_bytes(other if path.name != "final.mp4" else data + other[:100])


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], object]:
    """Frames of undisturbed renders, by what they depend on; made when they are asked for."""
    return {}


@pytest.mark.parametrize(
    "number",
    [
        *range(4),
        *(pytest.param(number, marks=pytest.mark.slow) for number in range(4, 16)),
        *(pytest.param(number, marks=pytest.mark.soak) for number in range(16, 40)),
    ],
)
def test_one_more_run_ends_with_the_frames_of_a_quiet_render(
    tmp_path: Path, number: int, quiet: dict[tuple[str, str], object], capsys: pytest.CaptureFixture[str]
) -> None:
    title = Title(tmp_path / "work", number)
    title.render()
    for _ in range(STEPS):
        title.step()
    capsys.readouterr()
    code = render_inline(title.manifest)
    said = capsys.readouterr().err
    if code == 1 and "--renew" in said:
        code = render_inline(title.manifest, "--renew")
    assert code == 0, (title.said, said[-2000:])
    found = decoded(tmp_path / "work/out/one/final.mp4")
    depends = title.options["seed"], title.options["crf"]
    if depends not in quiet:
        shutil.rmtree(tmp_path / "work/out")
        assert render_inline(title.manifest) == 0
        quiet[depends] = decoded(tmp_path / "work/out/one/final.mp4")
    assert found == quiet[depends], title.said
