"""The connection to a Ray cluster: joining or starting one, what it has, and whether all its nodes see the output."""

from __future__ import annotations

import logging
import os
import uuid

import ray
from ray.exceptions import GetTimeoutError, RayError

from pipeline.core.errors import OutputError, SetupError
from pipeline.on_ray import local_ray
from pipeline.store.local import LocalStore
from pipeline.store.store import Store

SCRATCH = "scratch_gib"  # resource by which a machine says what local disk it has for us, as the files in cluster/ do


def connect(address: str | None, cores: int | None = None) -> None:
    """Join the cluster at `address` (or RAY_ADDRESS), or start one on this machine. Raises SetupError."""
    if ray.is_initialized():
        return
    address = address or os.environ.get("RAY_ADDRESS")
    try:
        if address is None:
            local_ray.start(include_dashboard=False, num_cpus=cores, logging_level=logging.ERROR, log_to_driver=False)
        else:
            ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
    except (ConnectionError, RayError, ValueError, RuntimeError) as error:
        raise SetupError(
            f"Ray at {address or 'this machine'}: {error}; check --address and the cluster's token "
            "(RAY_AUTH_MODE=token, RAY_AUTH_TOKEN), or leave --address out to use this machine alone"
        ) from error


def resources() -> tuple[float, float]:
    """CPUs and GPUs of the cluster."""
    total = ray.cluster_resources()
    return total.get("CPU", 1.0), total.get("GPU", 0.0)


def plain(resource: str) -> float:
    """What the machines without accelerators have of a resource."""
    found = (node["Resources"] for node in ray.nodes() if node["Alive"])
    return float(sum(one.get(resource, 0.0) for one in found if not one.get("GPU")))


def largest_machine() -> float:
    """GPUs of the node that has most of them."""
    return max((node["Resources"].get("GPU", 0.0) for node in ray.nodes() if node["Alive"]), default=0.0)


def check_shared(store: Store) -> None:
    """With more than one node, a local output must be one folder for all: each node reads a token.

    Raises OutputError.
    """
    nodes = [node for node in ray.nodes() if node["Alive"]]
    if not isinstance(store, LocalStore) or len(nodes) < 2:
        return
    token = uuid.uuid4().hex
    key = f"_probe/{token}"
    store.put(key, token.encode())
    try:
        blind = []
        for node in nodes:
            strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            look = ray.remote(_reads).options(num_cpus=0, scheduling_strategy=strategy)
            try:
                if not ray.get(look.remote(str(store.path(key))), timeout=120):
                    blind.append(node["NodeManagerHostname"])
            except (RayError, GetTimeoutError):
                blind.append(node["NodeManagerHostname"])
    finally:
        store.delete(key)
    if blind:
        raise OutputError(
            f"output {store}: not seen by {', '.join(sorted(set(blind)))}; with several nodes use a shared folder or "
            "an object store, for example --output s3://bucket/path"
        )


def _reads(path: str) -> bool:
    return os.path.exists(path)
