"""Workers that the kernel kills for want of memory, in a control group of their own."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.store.opening import open_store
from tests.conftest import render_inline, write_manifest
from tests.support.clusters import hungry
from tests.support.clusters.ray_head import free_port, head
from tests.support.clusters.ray_job import submit
from tests.support.crashes import records

pytestmark = pytest.mark.slow


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group that holds too little for a worker."""
    folder = Path(f"/sys/fs/cgroup/memory/longtake-{os.getpid()}")
    try:
        folder.mkdir()
        (folder / "memory.limit_in_bytes").write_text(str(hungry.ALLOWED))
    except OSError as error:
        pytest.skip(f"no control group of memory can be made here: {error}")
    yield folder
    with contextlib.suppress(OSError):
        folder.rmdir()


def test_workers_that_the_kernel_kills_for_memory_change_nothing(tmp_path: Path, group: Path) -> None:
    manifest = write_manifest(tmp_path, [100, 60])
    assert render_inline(manifest, "--output", str(tmp_path / "undisturbed")) == 0
    output, port = str(tmp_path / "killed"), free_port()
    dashboard = ("--include-dashboard=true", f"--dashboard-port={port}")
    with head(3, *dashboard, environment={hungry.GROUP: str(group)}):
        hook = "tests.support.clusters.hungry.install"
        code, said = submit(f"http://127.0.0.1:{port}", hook, str(manifest), "--output", output)
    assert code == 0, said[-4000:]
    assert hungry.kills(group) >= hungry.GREEDY, "the kernel killed for real"
    assert records(open_store(output)) == records(open_store(str(tmp_path / "undisturbed")))
