"""`python -m models.training.run CONFIG`: train one stage, or go on with it.

A run may stop at any step (`--minutes`, Ctrl-C, SIGTERM) and goes on from its last checkpoint when the same command is
given again; on a CPU the result is the same, bit for bit, as if it had never stopped. Everything random in a step comes
from a generator keyed by the seed and the step.
"""

from __future__ import annotations

import copy
import json
import math
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import click
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from models.families.noise_keys import noise_key
from models.training import checkpoint
from models.training.peers import Peers
from models.training.settings import BadSettings, Settings, read_settings
from models.training.stage import Batch, Stage, build


@dataclass
class Run:
    """A stage in training: its state, and how far it is."""

    settings: Settings
    stage: Stage
    mean: nn.Module
    optimiser: torch.optim.Optimizer
    step: int
    device: torch.device
    peers: Peers = field(default_factory=Peers)

    @property
    def out(self) -> Path:
        return Path(self.settings.out)


def rate_at(step: int, settings: Settings) -> float:
    """Learning rate of a step: a short rise, then half a cosine down to 0."""
    if step < settings.warmup:
        return settings.learning_rate * (step + 1) / settings.warmup
    share = (step - settings.warmup) / max(1, settings.steps - settings.warmup)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * share))


def begin(settings: Settings) -> Run:
    """A new run, or the one that the output folder holds."""
    device = torch.device(settings.device)
    torch.set_num_threads(settings.threads)
    torch.manual_seed(noise_key(settings.seed, "weights", 0))  # the networks' own initial values
    stage = build(settings, device)
    mean = copy.deepcopy(stage.network).requires_grad_(False).eval()
    optimiser = torch.optim.AdamW(
        stage.network.parameters(),
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        betas=(0.9, 0.99),
    )
    run = Run(settings, stage, mean, optimiser, 0, device, Peers.found())
    if run.peers.first:
        _go_on(run)
    parts: dict[str, Any] = {"network": stage.network, "mean": mean, "optimiser": optimiser}
    state = run.peers.given({"step": run.step, **{name: part.state_dict() for name, part in parts.items()}})
    if not run.peers.first:
        run.step = state["step"]
        for name, part in parts.items():
            part.load_state_dict(state[name])
    return run


def _go_on(run: Run) -> None:
    """From the checkpoint that the output folder holds, if it holds one."""
    run.out.mkdir(parents=True, exist_ok=True)
    found = checkpoint.facts(run.out)
    if found is not None:
        _same_run(run.settings, found, run.out)
        checkpoint.load(run.out, run.stage.network, run.mean, run.optimiser)
        run.step = found["step"]
    _cut_curve(run)


def take_step(run: Run) -> dict[str, Tensor]:
    """One step of training -> the parts of its loss."""
    settings, network = run.settings, run.stage.network
    for group in run.optimiser.param_groups:
        group["lr"] = rate_at(run.step, settings)
    purpose = "batch" if run.peers.first else f"batch/{run.peers.rank}"
    generator = torch.Generator().manual_seed(noise_key(settings.seed, purpose, run.step))
    batch: Batch = run.stage.batch(run.step, generator)
    network.train()
    with torch.autocast(run.device.type, torch.bfloat16, enabled=settings.precision == "bfloat16"):
        loss, parts = run.stage.loss(batch)
    run.optimiser.zero_grad(set_to_none=True)
    loss.backward()
    run.peers.average(network)
    norm = nn.utils.clip_grad_norm_(network.parameters(), settings.clip_norm)
    run.optimiser.step()
    run.step += 1
    keep = min(settings.ema, run.step / (run.step + 9))  # early on the mean is of few steps
    with torch.no_grad():
        for held, value in zip(run.mean.state_dict().values(), network.state_dict().values(), strict=True):
            if held.is_floating_point():
                held.lerp_(value, 1 - keep)
            else:
                held.copy_(value)
    return {"loss": loss.detach(), "norm": norm.detach(), **{name: part.detach() for name, part in parts.items()}}


def train(settings: Settings, minutes: float | None = None, saved_to: Callable[[Run], None] | None = None) -> Run:
    """Train until all steps are done, the time is over, or a signal asks to stop.

    `saved_to` is called after every checkpoint, in every process.
    """
    run = begin(settings)
    stop = _stop_on_signals()
    started, first = time.monotonic(), run.step
    since: dict[str, list[Tensor]] = {}
    saved = run.step
    while run.step < settings.steps:
        for name, part in take_step(run).items():
            since.setdefault(name, []).append(part)
        if run.step % settings.log_every == 0:
            pace = (run.step - first) * settings.batch * run.peers.number / (time.monotonic() - started)
            # Some parts are there in some steps only: their mean is over those.
            _log(run, {name: float(torch.stack(parts).mean()) for name, parts in since.items()}, pace)
            since = {}
        if run.step % settings.sample_every == 0 or run.step == settings.steps:
            show(run)
        if run.step % settings.checkpoint_every == 0:
            save(run, saved_to)
            saved = run.step
        late = minutes is not None and time.monotonic() - started > 60 * minutes
        if run.peers.agree(late or bool(stop), run.device):
            break
    if saved != run.step or (run.step == settings.steps and first < run.step):
        save(run, saved_to)
    return run


def save(run: Run, saved_to: Callable[[Run], None] | None = None) -> None:
    """Checkpoint, and the running mean as a family's files of weights; the first process writes for all."""
    if run.peers.first:
        _write_state(run)
    if saved_to is not None:
        saved_to(run)


def _write_state(run: Run) -> None:
    facts = {"settings": run.settings.identity(), "torch": torch.__version__}
    checkpoint.save(run.out, run.step, run.stage.network, run.mean, run.optimiser, facts)
    for name, tensors in run.stage.weights(run.mean).items():
        path = run.out / "weights" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}, path)


@torch.no_grad()
def show(run: Run) -> None:
    """A sheet of samples, and a line with the scores."""
    if not run.peers.first:
        return
    sheet = run.stage.samples(run.mean).clamp(0, 1).mul(255).round().byte().cpu()
    folder = run.out / "samples"
    folder.mkdir(exist_ok=True)
    Image.fromarray(sheet.permute(1, 2, 0).numpy()).save(folder / f"step-{run.step:08}.png")
    _write(run, {"step": run.step, "scores": {name: round(v, 5) for name, v in run.stage.score(run.mean).items()}})


def _log(run: Run, means: dict[str, float], pace: float) -> None:
    if not run.peers.first:
        return
    line = {"step": run.step, "rate": rate_at(run.step - 1, run.settings), "examples_per_second": round(pace, 2)}
    _write(run, line | {name: round(value, 6) for name, value in means.items()})


def _write(run: Run, line: dict[str, Any]) -> None:
    with (run.out / "curve.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    click.echo(json.dumps(line))


def _cut_curve(run: Run) -> None:
    """Steps after the checkpoint are taken again, so their lines go."""
    curve = run.out / "curve.jsonl"
    if not curve.exists():
        return
    kept: list[str] = []
    for line in curve.read_text().splitlines():
        try:
            if json.loads(line)["step"] <= run.step:
                kept.append(line)
        except ValueError:  # half a line, from a run that was killed
            continue
    curve.write_text("".join(line + "\n" for line in kept))


def _same_run(settings: Settings, found: dict[str, Any], out: Path) -> None:
    mine, theirs = settings.identity(), found["settings"]
    changed = sorted(name for name in mine if json.loads(json.dumps(mine[name])) != theirs.get(name))
    if changed:
        raise BadSettings(
            f"{out} holds a run with other settings ({', '.join(changed)}): go on with its own, or give another --out"
        )


def _stop_on_signals() -> list[int]:
    """A list that is no longer empty once a signal came; a second signal ends at once."""
    asked: list[int] = []

    def ask(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        signal.signal(number, signal.SIG_DFL)

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, ask)
    except ValueError:  # not the main thread: whoever owns it stops this run
        pass
    return asked


@click.command()
@click.argument("config", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--minutes", type=click.FloatRange(min=0), help="Stop after so long; the same command goes on later.")
@click.option("--out", help="Folder to write to, in place of the configuration's.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), help="In place of the configuration's.")
@click.option("--threads", type=click.IntRange(min=1), help="In place of the configuration's.")
def main(config: Path, minutes: float | None, out: str | None, device: str | None, threads: int | None) -> None:
    """Train the stage that CONFIG describes."""
    try:
        settings = read_settings(config, out=out, device=device, threads=threads)
        if settings.device == "cuda" and not torch.cuda.is_available():
            raise BadSettings("device is cuda, and there is none here: give --device cpu")
        run = train(settings, minutes)
    except BadSettings as error:
        raise click.UsageError(str(error)) from error
    if run.step < settings.steps:
        click.echo(f"stopped at step {run.step} of {settings.steps}: the same command goes on from there", err=True)


if __name__ == "__main__":
    sys.exit(main())
