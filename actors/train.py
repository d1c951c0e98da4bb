"""`python -m actors.train CONFIG --workers N`: one stage of training on a Ray cluster, by Ray Train.

Every worker draws batches of its own and all average their gradients (`models.training.peers`). The first one writes
the output folder, as `models.training.run` does, and after every checkpoint a copy goes to the storage that all nodes
reach: when a worker or its node dies, the group starts again from it.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import ray
import ray.train
import torch
from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer, get_device

from models.training import checkpoint
from models.training.peers import Peers
from models.training.run import Run, train
from models.training.settings import BadSettings, Settings, read_settings
from models.training.stage import STAGES
from pipeline.on_ray import local_ray


def work(job: dict[str, Any]) -> None:
    """What every worker runs, its process group being set up."""
    settings = Settings(**job["settings"])
    if Path(job["folder"]).is_dir():
        os.chdir(job["folder"])  # the configuration's relative paths start there
    if settings.device == "cuda":
        torch.cuda.set_device(get_device())
    out, kept = Path(settings.out), ray.train.get_checkpoint()
    if Peers.found().first and kept is not None and (not out.exists() or checkpoint.facts(out) is None):
        with kept.as_directory() as folder:
            shutil.copytree(folder, out, dirs_exist_ok=True)
    train(settings, job["minutes"], _report)


def _report(run: Run) -> None:
    """Every worker tells its step; the first one hands over its folder."""
    kept = ray.train.Checkpoint.from_directory(str(run.out)) if run.peers.first else None
    ray.train.report({"step": run.step}, checkpoint=kept)


def fit(settings: Settings, workers: int, storage: str, minutes: float | None = None, retries: int = 3) -> int:
    """Train on the cluster that Ray is connected to -> the step that was reached. Raises `TrainingFailedError`."""
    cuda = settings.device == "cuda"
    trainer = TorchTrainer(
        work,
        train_loop_config={"settings": asdict(settings), "minutes": minutes, "folder": os.getcwd()},
        scaling_config=ScalingConfig(
            num_workers=workers,
            use_gpu=cuda,
            resources_per_worker={"CPU": settings.threads, **({"GPU": 1} if cuda else {})},
        ),
        run_config=RunConfig(
            name=f"longtake-{settings.stage}-{Path(settings.out).name}",
            storage_path=storage,
            failure_config=FailureConfig(max_failures=retries),
            checkpoint_config=CheckpointConfig(num_to_keep=1),
        ),
    )
    metrics = trainer.fit().metrics
    return int(metrics["step"]) if metrics else settings.steps


@click.command()
@click.argument("config", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--workers", default=1, show_default=True, type=click.IntRange(min=1), help="Each takes a whole batch.")
@click.option(
    "--storage", help="Folder or URL that all nodes reach, for copies of checkpoints; by default beside --out."
)
@click.option("--retries", default=3, show_default=True, help="How often the group starts again after a failure.")
@click.option("--address", help="Of a running cluster; without it a cluster on this machine, for as long as this runs.")
@click.option("--minutes", type=click.FloatRange(min=0), help="Stop after so long; the same command goes on later.")
@click.option("--out", help="Folder to write to, in place of the configuration's.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), help="In place of the configuration's.")
@click.option("--threads", type=click.IntRange(min=1), help="Of each worker, in place of the configuration's.")
def main(
    config: Path,
    workers: int,
    storage: str | None,
    retries: int,
    address: str | None,
    minutes: float | None,
    out: str | None,
    device: str | None,
    threads: int | None,
) -> None:
    """Train the stage that CONFIG describes on several workers."""
    try:
        settings = read_settings(config, out=out, device=device, threads=threads)
        settings = read_settings(config, out=str(Path(settings.out).absolute()), device=device, threads=threads)
        if settings.stage not in STAGES:
            raise BadSettings(f"{config}: stage is {settings.stage!r}, expected one of {sorted(STAGES)}")
    except BadSettings as error:
        raise click.UsageError(str(error)) from error
    if address := address or os.environ.get("RAY_ADDRESS"):
        ray.init(address=address)
    else:
        local_ray.start()
    _enough(workers, settings)
    try:
        step = fit(settings, workers, storage or str(Path(settings.out).parent / "ray"), minutes, retries)
    except ray.train.TrainingFailedError as error:
        raise click.ClickException(f"training failed: {_reason(error)}") from error
    finally:
        ray.shutdown()
    if step < settings.steps:
        click.echo(f"stopped at step {step} of {settings.steps}: the same command goes on from there", err=True)


def _enough(workers: int, settings: Settings) -> None:
    """Without it Ray Train waits for ever for what the cluster has not."""
    kind, each = ("GPU", 1) if settings.device == "cuda" else ("CPU", settings.threads)
    has = ray.cluster_resources().get(kind, 0)
    if has < workers * each:
        ray.shutdown()
        raise click.UsageError(
            f"{workers} workers need {workers * each} {kind}s and the cluster has {has:g}: ask for fewer, or add nodes"
        )


def _reason(error: BaseException) -> str:
    """The last line of the innermost cause."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]


if __name__ == "__main__":
    sys.exit(main())
