"""What processes that train together have in common: batches of their own, one mean of gradients, one state."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as processes
from safetensors.torch import load_file
from torch import nn

from models.families.noise_keys import noise_key
from models.training.peers import Peers, share
from models.training.run import begin, rate_at, train
from models.training.settings import Settings


def tiny(out: Path) -> Settings:
    return Settings(
        stage="enlarger", out=str(out), steps=4, batch=2, warmup=2, checkpoint_every=3, sample_every=100, log_every=1,
        options={"side": 32, "pictures": [64], "identities": 4, "network": {"width": 8, "layers": 1}},
    )  # fmt: skip


def by_hand(settings: Settings) -> dict[str, torch.Tensor]:
    """What two workers reach, in one process: two batches a step, the mean of their gradients."""
    threads = torch.get_num_threads()
    run = begin(settings)
    network = run.stage.network
    for step in range(settings.steps):
        for group in run.optimiser.param_groups:
            group["lr"] = rate_at(step, settings)
        run.optimiser.zero_grad()
        for purpose in ("batch", "batch/1"):
            generator = torch.Generator().manual_seed(noise_key(settings.seed, purpose, step))
            (run.stage.loss(run.stage.batch(step, generator))[0] / 2).backward()
        nn.utils.clip_grad_norm_(network.parameters(), settings.clip_norm)
        run.optimiser.step()
    torch.set_num_threads(threads)
    return network.state_dict()


def _one_of_two(rank: int, folder: Path) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=2)
    # Each has a folder of its own, as on two nodes: only the first one's is used.
    settings = tiny(folder / f"node-{rank}")
    assert train(settings, minutes=0).step == 1
    assert train(settings).step == 4
    dist.destroy_process_group()
    # A thread of the group that is left when the interpreter ends may take the process down with it (SIGABRT).
    names = [(task / "comm").read_text() for task in Path("/proc/self/task").iterdir()]
    assert not [name for name in names if "gloo" in name]


def test_alone_nothing_is_averaged_or_shared() -> None:
    layer = nn.Linear(2, 2)
    layer.weight.grad = torch.ones(2, 2)
    peers = Peers.found()
    assert peers == Peers(0, 1)
    peers.average(layer)
    share(layer.weight)
    assert torch.equal(layer.weight.grad, torch.ones(2, 2))
    assert layer.bias.grad is None
    assert [peers.agree(wanted, torch.device("cpu")) for wanted in (True, False)] == [True, False]
    assert peers.given({"step": 3}) == {"step": 3}


@pytest.mark.slow
def test_two_processes_stop_go_on_and_end_where_the_same_arithmetic_does(tmp_path: Path) -> None:
    processes.spawn(_one_of_two, (tmp_path,), nprocs=2)
    found = load_file(tmp_path / "node-0" / "step-00000004" / "network.safetensors")
    expected = by_hand(tiny(tmp_path / "here"))
    assert found.keys() == expected.keys()
    assert all(torch.allclose(found[name], expected[name], atol=1e-6) for name in found)
    assert not (tmp_path / "node-1").exists()
