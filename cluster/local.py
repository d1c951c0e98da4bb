"""`python -m cluster.local`: a Ray cluster of several nodes on this machine, with made-up accelerators.

For trying things out. Every node is a set of processes of its own, as on a real cluster, so that placing, losing and
adding machines can be tried without any. Workers see a device and compute on the processor.
"""

from __future__ import annotations

import os
import secrets
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

STORE_BYTES = 100 << 20  # of Ray's object store on each node: nothing of ours waits in it
TOKEN_FILE = "RAY_AUTH_TOKEN_PATH"
ON_LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"  # at 0, Ray goes by 127.0.0.1, where these nodes listen
FAKE = "LONGTAKE_FAKE_ACCELERATORS"  # said to workers: a device that they are given is none


@dataclass(frozen=True)
class Shape:
    """Nodes beside the head, and what each of them offers. The first is on demand, the others are spot."""

    nodes: int = 3
    cpus: int = 2
    accelerators: int = 1
    dashboard: bool = False


@dataclass(frozen=True)
class Running:
    address: str
    dashboard: str | None

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs to render here."""
        names = ("RAY_AUTH_MODE", TOKEN_FILE, "RAY_AUTH_TOKEN")
        found = {"RAY_ADDRESS": self.address, ON_LOOPBACK: "0"} | {
            name: os.environ[name] for name in names if name in os.environ
        }
        return found | ({"RAY_API_SERVER_ADDRESS": self.dashboard} if self.dashboard else {})


@contextmanager
def running(shape: Shape) -> Iterator[Running]:
    """Start the nodes; all their processes end with the block."""
    # Ray reads these when it is imported, and nodes and workers inherit them.
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_raylet_start_wait_time_s", "120")  # not to give up nodes that start slowly
    os.environ[FAKE] = "1"
    with (
        tempfile.TemporaryDirectory(prefix="longtake-ray-", dir="/tmp", ignore_cleanup_errors=True) as folder,
        _token(Path(folder, "token")),
    ):
        from pipeline.on_ray.local_ray import on_loopback

        with on_loopback():
            cluster = _head(folder, shape)
        try:
            with on_loopback():
                for number in range(shape.nodes):
                    _add(cluster, shape, "spot" if number else "on-demand")
            page = f"http://{cluster.webui_url}" if shape.dashboard else None
            yield Running(cluster.address, page)
        finally:
            cluster.shutdown()


@contextmanager
def _token(file: Path) -> Iterator[None]:
    """A token of this cluster's own in a file that nobody else may read, unless the user has one."""
    if "RAY_AUTH_TOKEN" in os.environ or TOKEN_FILE in os.environ or Path.home().joinpath(".ray/auth_token").exists():
        yield
        return
    file.touch(mode=0o600)
    file.write_text(secrets.token_hex(32))
    os.environ[TOKEN_FILE] = str(file)
    try:
        yield
    finally:
        del os.environ[TOKEN_FILE]


def _head(folder: str, shape: Shape) -> Any:
    from ray.cluster_utils import Cluster

    arguments = {
        "object_store_memory": STORE_BYTES,
        "num_cpus": 0,
        "temp_dir": folder,  # short: Ray puts sockets there
        "include_dashboard": shape.dashboard,
        "dashboard_port": 0,
        "dashboard_agent_listen_port": 0,
        "labels": {"ray.io/market-type": "on-demand"},
    }
    return Cluster(initialize_head=True, head_node_args=arguments)


def _add(cluster: Any, shape: Shape, market: str) -> None:
    cluster.add_node(
        object_store_memory=STORE_BYTES,
        num_cpus=shape.cpus,
        num_gpus=shape.accelerators,
        labels={"ray.io/market-type": market},
    )


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--nodes", type=click.IntRange(min=1), default=3, show_default=True, help="Nodes beside the head.")
@click.option("--cpus", type=click.IntRange(min=1), default=2, show_default=True, help="Cores that each node offers.")
@click.option(
    "--accelerators", type=click.IntRange(min=0), default=1, show_default=True, help="Made-up devices of each node."
)
@click.option("--dashboard", is_flag=True, help="Start the dashboard too, which `ray job submit` needs.")
@click.argument("program", nargs=-1, type=click.UNPROCESSED, metavar="[-- PROGRAM …]")
def command(nodes: int, cpus: int, accelerators: int, dashboard: bool, program: Sequence[str]) -> None:
    """Start a cluster on this machine and keep it until Ctrl-C; or run PROGRAM on it and stop."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with _started(Shape(nodes, cpus, accelerators, dashboard)) as cluster:
        if program:
            code = _run(program, cluster, stop)
        else:
            _explain(cluster, nodes, cpus, accelerators)
            stop.wait()
            code = 0
    click.echo("The cluster is gone.", err=True)
    sys.exit(code)


@contextmanager
def _started(shape: Shape) -> Iterator[Running]:
    """As `running`; a cluster that does not come up is said in one line."""
    with ExitStack() as stack:
        try:
            cluster = stack.enter_context(running(shape))
        except Exception as error:  # Ray raises no class of its own here
            raise click.ClickException(
                f"Ray did not start: {str(error).splitlines()[0]} On a busy machine try again, with fewer --nodes"
            ) from error
        yield cluster


def _explain(cluster: Running, nodes: int, cpus: int, accelerators: int) -> None:
    settings = " ".join(f"{name}={shlex.quote(value)}" for name, value in cluster.environment.items())
    click.echo(f"{nodes} nodes of {cpus} cores and {accelerators} made-up accelerators at {cluster.address}")
    click.echo(f"Render on it:  {settings} python -m pipeline.render examples/demo.yaml")
    if cluster.dashboard:
        click.echo(f"Dashboard:     {cluster.dashboard}")
        click.echo(f"Submit to it:  {settings} ray job submit --working-dir . -- python -m pipeline.render …")
    click.echo("Ctrl-C stops it.")
    sys.stdout.flush()


def _run(program: Sequence[str], cluster: Running, stop: threading.Event) -> int:
    """Exit code of the program, which gets our signals passed on once."""
    child = subprocess.Popen(list(program), env={**os.environ, **cluster.environment}, start_new_session=True)
    passed_on = False
    while True:
        with suppress(subprocess.TimeoutExpired):
            return child.wait(timeout=0.2)
        if stop.is_set() and not passed_on:
            child.send_signal(signal.SIGTERM)
            passed_on = True


if __name__ == "__main__":
    command()
