"""What KubeRay 1.5 and later accept of a RayJob and a RayCluster, as far as our files use it.

Written down from the operator's own types (ray-operator/apis/ray/v1) and its validation (controllers/ray/utils): an
unknown key, which Kubernetes drops silently, fails here, and so does what the operator itself would refuse.
"""

from __future__ import annotations

from typing import Any

import jsonschema


def _object(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _texts(**more: Any) -> dict[str, Any]:
    """A mapping of texts: a number or a truth value would be refused by Kubernetes."""
    return {"type": "object", "additionalProperties": {"type": "string"}, **more}


NAME = {"type": "string", "pattern": "^[a-z]([-a-z0-9]{0,45}[a-z0-9])?$"}
QUANTITY = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(m|Ki|Mi|Gi|Ti)?$"}
QUANTITIES = {"type": "object", "additionalProperties": QUANTITY}
RESOURCES = _object({"requests": QUANTITIES, "limits": QUANTITIES}, "requests", "limits")
LABEL = {"type": "string", "pattern": "^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"}
LABELS = {"type": "object", "additionalProperties": LABEL}

CONTAINER = _object(
    {
        "name": NAME,
        "image": {"type": "string", "pattern": "^[^ ]+:[^ :]+$"},
        "env": {"type": "array", "items": _object({"name": {"type": "string"}, "value": {"type": "string"}}, "name")},
        "ports": {
            "type": "array",
            "items": _object({"containerPort": {"type": "integer"}, "name": {"type": "string", "maxLength": 15}}),
        },
        "resources": RESOURCES,
    },
    "name",
    "image",
    "resources",
)
POD = _object(
    {
        "metadata": _object({"labels": LABELS}),
        "spec": _object(
            {
                "serviceAccountName": NAME,
                "terminationGracePeriodSeconds": {"type": "integer", "minimum": 0},
                "nodeSelector": LABELS,
                "tolerations": {"type": "array", "items": _texts()},
                "containers": {"type": "array", "items": CONTAINER, "minItems": 1},
            },
            "containers",
        ),
    },
    "spec",
)
# Labels go into a field of their own; the operator refuses them among the start parameters.
START = _texts(propertyNames={"not": {"const": "labels"}})
COUNT = {"type": "integer", "minimum": 0}
CLUSTER_SPEC = _object(
    {
        "rayVersion": {"type": "string", "pattern": r"^\d+\.\d+\.\d+$"},
        "authOptions": _object({"mode": {"enum": ["token", "disabled"]}, "secretName": NAME}, "mode"),
        "enableInTreeAutoscaling": {"type": "boolean"},
        "autoscalerOptions": _object(
            {
                "version": {"enum": ["v1", "v2"]},
                "upscalingMode": {"enum": ["Default", "Aggressive", "Conservative"]},
                "idleTimeoutSeconds": COUNT,
                "resources": RESOURCES,
            }
        ),
        "headGroupSpec": _object({"labels": LABELS, "rayStartParams": START, "template": POD}, "template"),
        "workerGroupSpecs": {
            "type": "array",
            "items": _object(
                {
                    "groupName": NAME,
                    "replicas": COUNT,
                    "minReplicas": COUNT,
                    "maxReplicas": COUNT,
                    "labels": LABELS,
                    "rayStartParams": START,
                    "template": POD,
                },
                "groupName",
                "template",
            ),
        },
    },
    "headGroupSpec",
    "rayVersion",
)
CONDITION = _object(
    {
        "jobStatus": {"enum": ["SUCCEEDED", "FAILED"]},
        "jobDeploymentStatus": {"enum": ["Failed"]},
        "ttlSeconds": COUNT,
    }
) | {"oneOf": [{"required": ["jobStatus"]}, {"required": ["jobDeploymentStatus"]}]}
JOB_SPEC = _object(
    {
        "entrypoint": {"type": "string"},
        "submissionMode": {"enum": ["K8sJobMode", "HTTPMode", "SidecarMode"]},
        "backoffLimit": COUNT,
        "shutdownAfterJobFinishes": {"type": "boolean"},
        "deletionStrategy": _object(
            {
                "deletionRules": {
                    "type": "array",
                    "minItems": 1,
                    "items": _object(
                        {
                            "policy": {"enum": ["DeleteCluster", "DeleteWorkers", "DeleteSelf", "DeleteNone"]},
                            "condition": CONDITION,
                        },
                        "policy",
                        "condition",
                    ),
                }
            },
            "deletionRules",
        ),
        "rayClusterSpec": CLUSTER_SPEC,
    },
    "entrypoint",
    "rayClusterSpec",
)


def _resource(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    return _object(
        {
            "apiVersion": {"const": "ray.io/v1"},
            "kind": {"const": kind},
            "metadata": _object({"name": NAME}, "name"),
            "spec": spec,
        },
        "apiVersion",
        "kind",
        "metadata",
        "spec",
    )


SCHEMAS = {"RayJob": _resource("RayJob", JOB_SPEC), "RayCluster": _resource("RayCluster", CLUSTER_SPEC)}
ORDER = ("DeleteWorkers", "DeleteCluster", "DeleteSelf")


def check(resource: dict[str, Any]) -> None:
    """Raises jsonschema.ValidationError, or ValueError for what only the operator would refuse."""
    jsonschema.validate(resource, SCHEMAS[resource["kind"]])
    spec = resource["spec"]
    cluster = spec.get("rayClusterSpec", spec)
    for group in cluster.get("workerGroupSpecs", ()):
        if not group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]:
            raise ValueError(f"group {group['groupName']}: replicas outside of its limits")
        for container in group["template"]["spec"]["containers"]:
            wanted, most = (container["resources"][name] for name in ("requests", "limits"))
            if wanted.get("nvidia.com/gpu") != most.get("nvidia.com/gpu"):
                raise ValueError(f"group {group['groupName']}: devices are never shared, request and limit must agree")
    if rules := spec.get("deletionStrategy", {}).get("deletionRules"):
        _check_rules(rules, spec, cluster)


def _check_rules(rules: list[dict[str, Any]], spec: dict[str, Any], cluster: dict[str, Any]) -> None:
    if spec.get("shutdownAfterJobFinishes"):
        raise ValueError("deletionRules and shutdownAfterJobFinishes exclude each other")
    if cluster.get("enableInTreeAutoscaling") and any(rule["policy"] == "DeleteWorkers" for rule in rules):
        raise ValueError("DeleteWorkers is not supported beside the autoscaler")
    for name in ("jobStatus", "jobDeploymentStatus"):
        for state in {rule["condition"].get(name) for rule in rules} - {None}:
            mine = [rule for rule in rules if rule["condition"].get(name) == state]
            after = {rule["policy"]: rule["condition"].get("ttlSeconds", 0) for rule in mine}
            if len(after) < len(mine):
                raise ValueError(f"{state}: the same policy twice")
            times = [after[policy] for policy in ORDER if policy in after]
            if times != sorted(times):
                raise ValueError(f"{state}: workers go before the cluster, and the cluster before the job")
