"""The cluster that `plan --cluster` simulates: how many machines for each role, how long they start, what they cost."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.core.errors import UserError

LARGEST = 1 << 16  # bytes of a description


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Pool(_Strict):
    """Machines of one role, one worker each."""

    workers: int = Field(ge=1, le=100_000)
    device: str | None = None  # class of accelerator, as `plan --device` knows it; default: the family's first
    price: float = Field(default=0.0, ge=0)  # of a machine, for an hour
    start: float = Field(default=0.0, ge=0)  # seconds from asking for a machine until its worker is ready
    idle: float = Field(default=0.0, ge=0)  # seconds for which a machine is paid after its worker has gone
    preemptions: float = Field(default=0.0, ge=0)  # machines taken away, for every hour of a machine


class ChainPool(Pool):
    lanes: int | None = Field(default=None, ge=1, le=64)  # titles in a batch; default: the family's
    batch: float | None = Field(default=None, ge=1)  # how many times as long as one lane a batch takes; default: lanes


class UpscalePool(Pool):
    after: int | None = Field(default=None, ge=1)  # most upscalers once chains have left their machines


class PlainPool(_Strict):
    """Machines without accelerators, for preparing and publishing: a worker a core."""

    workers: int = Field(ge=1, le=100_000)  # machines
    cores: int = Field(ge=1, le=1024)  # of each
    scratch: int = Field(default=0, ge=0)  # GiB of local disk that each says it has; 0: it does not say
    price: float = Field(default=0.0, ge=0)  # of a machine, for an hour
    start: float = Field(default=0.0, ge=0)


class Head(_Strict):
    """The driver's machine. `prepare`, `publish`: most workers, where they are not to follow from the machines."""

    price: float = Field(default=0.0, ge=0)
    prepare: int | None = Field(default=None, ge=1, le=1000)
    publish: int | None = Field(default=None, ge=1, le=1000)


class ClusterSpec(_Strict):
    chain: ChainPool
    upscale: UpscalePool
    head: Head = Head()
    plain: PlainPool | None = None
    currency: str = "USD"


def parse_cluster(text: str, where: str) -> ClusterSpec:
    """Raises UserError that lists everything that is wrong."""
    try:
        found: object = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(
            f"{where}: not YAML ({str(error).splitlines()[0]}); see cluster/spec.yaml for an example"
        ) from None
    if not isinstance(found, dict):
        raise UserError(f"{where}: expected a mapping with chain and upscale; see cluster/spec.yaml for an example")
    try:
        return ClusterSpec.model_validate(found)
    except ValidationError as error:
        lines = [
            f"{where}: {'.'.join(map(str, one['loc']))}: {one['msg']}"
            + ("" if one["type"] == "missing" else f"; it has {one['input']!r}")
            for one in error.errors()
        ]
        raise UserError("\n".join([*lines, "cluster/spec.yaml is an example with every key"])) from None


def read_cluster(path: str) -> ClusterSpec:
    """Raises UserError."""
    try:
        with Path(path).open("rb") as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise UserError(f"--cluster {path}: over {LARGEST} bytes; expected a short description of a cluster")
        return parse_cluster(data.decode(), path)
    except OSError as error:
        raise UserError(f"--cluster {path}: {error.strerror}; expected a file such as cluster/spec.yaml") from None
    except UnicodeDecodeError:
        raise UserError(f"--cluster {path}: not text; expected YAML such as cluster/spec.yaml") from None
