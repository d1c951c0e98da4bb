"""The cluster's files are what those who read them expect: KubeRay, Ray's autoscaler, Docker, Prometheus, Grafana."""

from __future__ import annotations

import copy
import json
import re
import shlex
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from pipeline import __version__, render
from pipeline.forecast.cluster_spec import read_cluster
from pipeline.on_ray.connection import SCRATCH
from tests.cluster import kuberay_schema

CLUSTER = Path(__file__).parents[2] / "cluster"
CONSTRAINTS = (CLUSTER.parent / "constraints.txt").read_text()
FILES = ("rayjob", "raycluster")


def load(name: str) -> Any:
    return yaml.safe_load((CLUSTER / name).read_text())


def cluster_spec(name: str) -> dict[str, Any]:
    spec = load(f"{name}.yaml")["spec"]
    return spec.get("rayClusterSpec", spec)


def pods(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [group["template"] for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"])]


def entrypoint() -> Any:
    """The job's command line, as the command itself understands it."""
    words = shlex.split(load("rayjob.yaml")["spec"]["entrypoint"])
    assert words[:3] == ["python", "-m", "pipeline.render"]
    return render.command.make_context("render", words[3:])


@pytest.mark.parametrize("name", FILES)
def test_kuberay_takes_them(name: str) -> None:
    kuberay_schema.check(load(f"{name}.yaml"))


def test_job_and_cluster_describe_the_same_cluster() -> None:
    assert cluster_spec("rayjob") == cluster_spec("raycluster")


def spoil_unknown_key(spec: dict[str, Any]) -> None:
    spec["rayClusterSpec"]["workerGroupSpecs"][0]["maxReplica"] = 3


def spoil_number_for_text(spec: dict[str, Any]) -> None:
    spec["rayClusterSpec"]["headGroupSpec"]["rayStartParams"]["num-cpus"] = 0


def spoil_rules(spec: dict[str, Any]) -> None:
    spec["deletionStrategy"]["deletionRules"][0]["policy"] = "DeleteWorkers"


def spoil_order(spec: dict[str, Any]) -> None:
    spec["deletionStrategy"]["deletionRules"][0]["condition"]["ttlSeconds"] = 100_000


def spoil_shutdown(spec: dict[str, Any]) -> None:
    spec["shutdownAfterJobFinishes"] = True


def spoil_devices(spec: dict[str, Any]) -> None:
    container = spec["rayClusterSpec"]["workerGroupSpecs"][0]["template"]["spec"]["containers"][0]
    container["resources"]["limits"]["nvidia.com/gpu"] = "2"


@pytest.mark.parametrize(
    "spoil",
    [spoil_unknown_key, spoil_number_for_text, spoil_rules, spoil_order, spoil_shutdown, spoil_devices],
)
def test_the_check_finds_mistakes(spoil: Any) -> None:
    job = copy.deepcopy(load("rayjob.yaml"))
    spoil(job["spec"])
    with pytest.raises((jsonschema.ValidationError, ValueError)):
        kuberay_schema.check(job)


def test_stopping_leaves_the_driver_its_grace() -> None:
    head = cluster_spec("rayjob")["headGroupSpec"]["template"]["spec"]
    assert head["terminationGracePeriodSeconds"] >= entrypoint().params["grace"] + 30


def test_workers_are_drained_before_they_are_killed() -> None:
    for pod in pods(cluster_spec("rayjob"))[1:]:
        (container,) = pod["spec"]["containers"]
        drain = {one["name"]: one["value"] for one in container["env"]}["RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"]
        assert float(drain) < pod["spec"]["terminationGracePeriodSeconds"]


def test_the_job_keeps_its_output_and_retries_seldom() -> None:
    options = entrypoint().params
    assert options["manifest"].startswith("s3://")
    assert options["output"].startswith("s3://")  # a folder would vanish with the working folder
    assert 1 <= load("rayjob.yaml")["spec"]["backoffLimit"] <= 3


def test_chains_are_on_demand_and_most_upscalers_spot() -> None:
    groups = {group["groupName"]: group for group in cluster_spec("rayjob")["workerGroupSpecs"]}
    market = {name: group["labels"]["ray.io/market-type"] for name, group in groups.items()}
    assert market.pop("plain") == "on-demand"
    assert market == {"chain": "on-demand", "upscale-spot": "spot", "upscale-on-demand": "on-demand"}
    assert groups["upscale-spot"]["maxReplicas"] > groups["upscale-on-demand"]["maxReplicas"]
    assert all(group["minReplicas"] == 0 for group in groups.values())  # to zero when idle


def test_the_driver_knows_how_far_the_cluster_grows() -> None:
    groups = cluster_spec("rayjob")["workerGroupSpecs"]
    plain = [group for group in groups if group["groupName"] == "plain"]
    assert entrypoint().params["gpus"] == sum(group["maxReplicas"] for group in groups if group not in plain)
    (cores,) = (int(group["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"]) for group in plain)
    assert entrypoint().params["cores"] == cores * plain[0]["maxReplicas"]
    said = json.loads(json.loads(plain[0]["rayStartParams"]["resources"]))[SCRATCH]
    assert entrypoint().params["scratch"] == said * plain[0]["maxReplicas"]
    disk = plain[0]["template"]["spec"]["containers"][0]["resources"]["requests"]["ephemeral-storage"]
    assert said <= 0.9 * int(disk.removesuffix("Gi"))
    machine = load("autoscaler.yaml")["available_node_types"]["plain"]
    spec = read_cluster(str(CLUSTER / "spec.yaml")).plain
    assert spec
    assert machine["resources"] == {"CPU": spec.cores, SCRATCH: spec.scratch} == {"CPU": cores, SCRATCH: said}
    assert machine["max_workers"] == spec.workers == plain[0]["maxReplicas"]


def test_versions_agree() -> None:
    found = re.search(r"^ray==(.+)$", CONSTRAINTS, re.M)
    assert found
    assert cluster_spec("rayjob")["rayVersion"] == found[1]
    images = {pod["spec"]["containers"][0]["image"] for pod in pods(cluster_spec("rayjob"))}
    assert images == {load("autoscaler.yaml")["docker"]["image"]}
    assert images.pop().endswith(f":{__version__}")


def test_ray_reads_the_autoscaler_file() -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = prepare_config(load("autoscaler.yaml"))
    validate_config(config)
    assert config["available_node_types"]["chain"]["max_workers"] == 4
    spoilt = load("autoscaler.yaml")
    spoilt["available_node_types"]["chain"]["resource"] = {}
    with pytest.raises(jsonschema.ValidationError):
        validate_config(prepare_config(spoilt))


def test_the_autoscaler_file_names_options_that_ray_has() -> None:
    from ray.scripts.scripts import start

    known = {name for parameter in start.params for name in parameter.opts}
    config = load("autoscaler.yaml")
    for line in (*config["head_start_ray_commands"], *config["worker_start_ray_commands"]):
        if "ray start" in line:
            used = set(re.findall(r"--[a-z-]+", line.partition("ray start")[2]))
            assert used <= known, used - known


def test_authentication_is_on_everywhere() -> None:
    assert cluster_spec("rayjob")["authOptions"]["mode"] == "token"
    config = load("autoscaler.yaml")
    starts = [
        line for line in config["head_start_ray_commands"] + config["worker_start_ray_commands"] if "start" in line
    ]
    assert len(starts) == 2
    assert all("RAY_AUTH_MODE=token" in line for line in starts)
    text = "".join((CLUSTER / f"{name}.yaml").read_text() for name in (*FILES, "autoscaler"))
    assert not re.search(r"auth_token:\s*[\"']?\w", text.replace("auth_token: ~", ""))  # no token in a file


def test_the_image_copies_what_there_is_and_pins_what_it_installs() -> None:
    text = (CLUSTER / "Dockerfile").read_text().replace("\\\n", " ")
    instructions = [line.split(maxsplit=1) for line in text.splitlines() if line and not line.startswith("#")]
    assert instructions[0][0] == "FROM"
    assert re.fullmatch(r"nvidia/cuda:\d+\.\d+\.\d+-\S+", instructions[0][1])
    for name, rest in instructions:
        if name == "COPY":
            for source in rest.split()[:-1]:
                assert (CLUSTER.parent / source).exists(), source
        if name == "RUN" and "pip install" in rest:
            assert "-c constraints.txt" in rest
    assert ["USER", "ray"] in instructions
    copied = {source for name, rest in instructions if name == "COPY" for source in rest.split()[:-1]}
    packages = {path.parent.name for path in CLUSTER.parent.glob("*/__init__.py")}
    assert packages - copied <= {"tests", "benchmarks"}


def test_the_image_has_what_compiling_needs() -> None:
    """Triton compiles a launcher in C for every kernel, against Python's headers, in the process that runs it."""
    text = (CLUSTER / "Dockerfile").read_text()
    python = re.search(r"apt-get install [^&]*(python3\.\d+)\b", text.replace("\\\n", " "))
    assert python is not None
    for package in (f"{python[1]}-dev", "gcc", "libc6-dev"):
        assert re.search(rf"\s{re.escape(package)}\s", text), package


def test_prometheus_looks_where_ray_is() -> None:
    config = load("prometheus.yaml")
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    kept = {tuple(rule["source_labels"]): rule["regex"] for rule in jobs["longtake-pods"]["relabel_configs"][:2]}
    for pod in pods(cluster_spec("rayjob")):
        assert pod["metadata"]["labels"]["app"] == kept[("__meta_kubernetes_pod_label_app",)]
        ports = {port["name"]: port["containerPort"] for port in pod["spec"]["containers"][0]["ports"]}
        assert (
            ports[kept[("__meta_kubernetes_pod_container_port_name",)]] == 8080
        )  # KubeRay's default for Ray's metrics
    from ray._private.ray_constants import PROMETHEUS_SERVICE_DISCOVERY_FILE

    (found,) = jobs["longtake-nodes"]["file_sd_configs"]
    assert found["files"] == [f"/tmp/ray/{PROMETHEUS_SERVICE_DISCOVERY_FILE}"]
