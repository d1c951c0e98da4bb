"""A cluster that grows and shrinks: Ray's autoscaler over its fake multi-node provider, with real nodes and workers.

Ray's own `AutoscalingCluster` starts by stopping every Ray on the machine, and reads a file that the wheel lacks; the
same provider is started here on ports of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline import verify
from tests.conftest import write_manifest
from tests.support.clusters.ray_head import free_port, head

pytestmark = pytest.mark.ray_alone
ROOT = Path(__file__).parents[2]
CEILING = 3  # machines
TITLES = 20
ENDS_WITHIN = 330.0  # seconds, on a busy machine
GONE_WITHIN = 120.0
ENVIRONMENT = {"RAY_FAKE_CLUSTER": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1", "LONGTAKE_FAKE_ACCELERATORS": "1"}


def autoscaling(port: int) -> dict[str, Any]:
    """What `ray start --autoscaling-config` reads."""
    lists = ("initialization_commands", "setup_commands", "head_setup_commands", "worker_setup_commands")
    lists += ("head_start_ray_commands", "worker_start_ray_commands", "cluster_synced_files")
    return {
        "cluster_name": "longtake-test",
        "max_workers": CEILING,
        "upscaling_speed": 4.0,
        "idle_timeout_minutes": 0.1,
        "provider": {
            "type": "fake_multinode",
            "gcs_address": f"127.0.0.1:{port}",
            # All nodes have one address here, and none is reached by ssh: without these two Ray takes every machine for
            # dead and for not set up, and starts others for ever.
            "use_node_id_as_ip": True,
            "disable_node_updaters": True,
            "disable_launch_config_check": True,
        },
        "auth": {},
        "docker": {},
        "file_mounts": {},
        "file_mounts_sync_continuously": False,
        "rsync_exclude": [],
        "rsync_filter": [],
        **{name: [] for name in lists},
        "head_node_type": "ray.head.default",
        "available_node_types": {
            "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "min_workers": 0, "max_workers": 0},
            "machine": {
                "resources": {"CPU": 2, "GPU": 1, "object_store_memory": 100 << 20},
                "node_config": {},
                "min_workers": 0,
                "max_workers": CEILING,
            },
        },
    }


def status(address: str) -> str:
    command = [str(Path(sys.executable).with_name("ray")), "status", f"--address={address}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def machines(address: str) -> int:
    """Living nodes beside the head."""
    from ray._raylet import GcsClient

    nodes = GcsClient(address=address).get_all_node_info().values()
    return sum(node.state == 0 and not node.is_head_node for node in nodes)  # 0: alive


def test_from_nothing_to_the_ceiling_and_back(tmp_path: Path) -> None:
    port = free_port()
    file = tmp_path / "autoscaling.json"
    file.write_text(json.dumps(autoscaling(port)))
    manifest = write_manifest(tmp_path, [192] * TITLES, output=str(tmp_path / "out"), family="timed")
    words = ("--include-dashboard=false", "--object-store-memory=104857600", f"--autoscaling-config={file}")
    with head(0, *words, port=port, environment=ENVIRONMENT) as address:
        assert machines(address) == 0
        command = [sys.executable, "-m", "tests.support.clusters.timed_render", str(manifest), "--address", address]
        run = subprocess.Popen(
            [*command, "--gpus", str(CEILING)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        started, most, when = time.monotonic(), 0, 0.0
        while run.poll() is None and time.monotonic() < started + ENDS_WITHIN:
            if (now := machines(address)) > most:
                most, when = now, time.monotonic() - started
            time.sleep(1)
        run.kill()  # nothing where it has ended
        said, _ = run.communicate()
        took = time.monotonic() - started
        assert run.returncode == 0, said
        assert most == CEILING, said
        ended = time.monotonic()
        while machines(address) and time.monotonic() < ended + GONE_WITHIN:
            time.sleep(1)
        assert machines(address) == 0, status(address)
        gone = time.monotonic() - ended
        left = status(address)
    assert "(no resource demands)" in left, left
    assert "(no pending nodes)" in left, left
    print(f"0 → {most} machines after {when:.0f} s; {TITLES} titles in {took:.0f} s; none left {gone:.0f} s later")
    from benchmarks import stand_ins
    from models.families.registry import FAMILIES

    stand_ins.register()
    try:
        assert verify.run([str(tmp_path / "out")]) == 0
    finally:
        for name in ("timed", "slow"):
            FAMILIES.pop(name)
