"""A catalog of twelve titles as a submitted job, two of which break after they were planned."""

from __future__ import annotations

import csv
import io
import re
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.store.opening import open_store
from tests.conftest import write_manifest
from tests.support.clusters.ray_head import free_port, head
from tests.support.clusters.ray_job import submit
from tests.support.s3 import S3Server

pytestmark = pytest.mark.slow
HOOK = "tests.support.clusters.sabotage.install"


def test_ten_of_twelve_are_finished_and_both_reasons_are_reported(
    tmp_path: Path, s3_server: S3Server, s3: S3Server
) -> None:
    titles = [{"id": f"good-{n}", "frames": 20 + 7 * n} for n in range(10)]
    titles[3:3] = [{"id": "crasher", "frames": 60, "priority": 1}, {"id": "spoiled", "frames": 60, "priority": 1}]
    manifest, output, port = write_manifest(tmp_path, titles), s3.url(), free_port()
    with head(2, "--include-dashboard=true", f"--dashboard-port={port}", environment=s3_server.environment):
        code, said = submit(f"http://127.0.0.1:{port}", HOOK, str(manifest), "--output", output)
        store = open_store(output)
        assert code == 1, said[-4000:]
        assert store.exists("catalog.csv"), said[-4000:]
        rows = list(csv.DictReader(io.StringIO(store.get("catalog.csv").decode())))
        reasons = {row["id"]: row["reason"] for row in rows if row["state"] == "failed"}
        assert reasons.keys() == {"crasher", "spoiled"}
        assert re.search(
            r"chain 0 (failed|took its machine along) \d times while alone on a worker", reasons["crasher"]
        )
        assert "spoiled" in reasons["spoiled"]
        assert [row["id"] for row in rows if row["state"] == "done"] == [f"good-{n}" for n in range(10)]
        store.get_file("catalog.parquet", tmp_path / "catalog.parquet")
        assert pq.read_table(tmp_path / "catalog.parquet").column("id").to_pylist() == [row["id"] for row in rows]
        before = {f"good-{n}": store.get(f"good-{n}/report.json") for n in range(10)}
        began = time.monotonic()
        code, said = submit(f"http://127.0.0.1:{port}", HOOK, str(manifest), "--output", output, "--skip-done")
        print(f"rerun: exit {code} after {time.monotonic() - began:.0f} s, the two are tried again")
        assert code == 1, said[-4000:]
        assert all(f"{name}: done" in said for name in before)
        assert {name: store.get(f"{name}/report.json") for name in before} == before, "nothing of the ten is made again"
        rows = list(csv.DictReader(io.StringIO(store.get("catalog.csv").decode())))
        assert sorted(row["id"] for row in rows if row["state"] == "failed") == ["crasher", "spoiled"]
