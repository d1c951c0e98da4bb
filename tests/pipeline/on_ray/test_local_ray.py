"""A Ray that we start on one machine: nobody reaches it from elsewhere, and nobody without its token is answered."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pipeline.core.errors import Paused, SetupError
from pipeline.on_ray import local_ray
from pipeline.on_ray.local_ray import LOOPBACK, TOKEN, TOKEN_FILE, give_token
from tests.support.leftovers import descendants, end

STARTS = """
import os, subprocess, sys
from pipeline.on_ray import connection
connection.connect(None, cores=1)
import ray
print("address", ray.get_runtime_context().gcs_address, flush=True)
assert ray.get(ray.remote(lambda: 7).remote()) == 7
print("ready", flush=True)
sys.stdin.read()
"""
JOINS = """
import sys
import ray
ray.init(address=sys.argv[1], log_to_driver=False, logging_level="ERROR")
print("joined", ray.get(ray.remote(lambda: 7).options(num_cpus=0).remote()))
"""
FROM_A_THREAD = """
import threading
from pipeline.on_ray import connection
thread = threading.Thread(target=connection.connect, args=(None,), kwargs={"cores": 1})
thread.start()
thread.join()
import ray
print(ray.get(ray.remote(lambda: 7).remote(), timeout=120))
"""
SECRET = "5" * 64


def environment(**more: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")} | more


def listening(processes: set[int]) -> set[str]:
    """Addresses on which any of these processes takes TCP connections, by the kernel's own tables."""
    sockets = set()
    for process in processes:
        for file in Path(f"/proc/{process}/fd").glob("*"):
            try:
                sockets |= set(re.findall(r"socket:\[(\d+)\]", os.readlink(file)))
            except OSError:
                continue
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and words[9] in sockets:  # LISTEN
                found.add(words[1].partition(":")[0])
    return found


def test_it_is_started_by_a_thread_that_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    by: list[threading.Thread] = []
    monkeypatch.setattr(local_ray, "_start", lambda **options: by.append(threading.current_thread()))
    thread = threading.Thread(target=local_ray.start)
    thread.start()
    thread.join()
    assert by[0] is not thread
    assert by[0].is_alive()


def test_why_it_did_not_start_is_told_in_any_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    raised: list[SetupError] = []

    def failing(**options: object) -> None:
        raise SetupError("no room")

    def start() -> None:
        with pytest.raises(SetupError, match="no room") as error:
            local_ray.start()
        raised.append(error.value)

    monkeypatch.setattr(local_ray, "_start", failing)
    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert raised


@pytest.mark.slow
def test_it_outlives_the_thread_that_asked_for_it() -> None:
    done = subprocess.run([sys.executable, "-c", FROM_A_THREAD], capture_output=True, text=True, env=environment())
    assert done.stdout == "7\n", done.stderr


@pytest.mark.slow
def test_it_listens_on_loopback_alone_and_refuses_whoever_has_no_token() -> None:
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", STARTS]
    driver = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment(**{TOKEN: SECRET}))
    assert driver.stdout
    try:
        words = driver.stdout.readline().split()
        assert words[:1] == ["address"], words
        assert driver.stdout.readline() == "ready\n"
        address = words[1]
        assert address.startswith(f"{LOOPBACK}:")
        family = descendants(driver.pid)
        assert any("raylet" in name for name in family.values())
        assert any("gcs_server" in name for name in family.values())
        heard = listening({number for number, _ in family})
        assert heard, "the tables were read"
        assert heard <= {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}

        def join(**more: str) -> subprocess.CompletedProcess[str]:
            command = [sys.executable, "-c", JOINS, address]
            mine = environment(RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0", **more)
            return subprocess.run(command, capture_output=True, text=True, timeout=200, env=mine)

        home = {"HOME": "/nonexistent"}
        for mine in ({"RAY_AUTH_MODE": "disabled"}, {"RAY_AUTH_MODE": "token", TOKEN: "6" * 64}):
            refused = join(**mine, **home)
            assert refused.returncode != 0
            assert address in refused.stderr, "it was that Ray which refused"
            assert "joined" not in refused.stdout
        assert join(RAY_AUTH_MODE="token", **{TOKEN: SECRET}).stdout == "joined 7\n"
    finally:
        family = descendants(driver.pid)
        driver.stdin.close()  # type: ignore[union-attr]
        driver.wait(60)
        end(family)


def test_a_token_is_made_where_the_user_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    one: dict[str, str] = {}
    other: dict[str, str] = {}
    give_token(one)
    give_token(other)
    assert len(one[TOKEN]) == 64
    assert one[TOKEN] != other[TOKEN], "each run has its own"
    for known in ({TOKEN: "mine"}, {TOKEN_FILE: "/some/file"}):
        before = dict(known)
        give_token(known)
        assert known == before
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("mine")
    third: dict[str, str] = {}
    give_token(third)
    assert not third


@pytest.mark.parametrize("home", ["/nonexistent/home", "/etc/hostname", "/proc/1/nowhere"])
def test_a_home_that_is_none_holds_no_token(home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", home)
    given: dict[str, str] = {}
    give_token(given)
    assert len(given[TOKEN]) == 64


@pytest.mark.parametrize(
    ("method", "error"),
    [
        ("open", PermissionError(13, "Permission denied")),  # a home of somebody else
        ("exists", PermissionError(13, "Permission denied")),
        ("home", RuntimeError("Could not determine home directory.")),  # a user of whom the system knows a number only
    ],
)
def test_a_home_that_may_not_be_looked_into_holds_no_token(
    method: str, error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(Path, method, fails)
    given: dict[str, str] = {}
    give_token(given)
    assert len(given[TOKEN]) == 64


@pytest.mark.slow
def test_it_starts_where_neither_home_nor_tmpdir_can_be_used() -> None:
    nowhere = {"HOME": "/proc/1/nowhere", "TMPDIR": "/proc/1/nowhere"}
    command = [sys.executable, "-c", STARTS]
    ended = subprocess.run(command, input="", capture_output=True, text=True, timeout=200, env=environment(**nowhere))
    assert ended.returncode == 0, ended.stderr
    assert "ready" in ended.stdout
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("place", ["/proc/1/nowhere", "/etc/hostname", "{}" + "/long" * 30])
def test_a_folder_for_its_files_that_cannot_be_used_is_named(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything has been started. Sockets have no paths of more than some hundred letters."""
    place = place.format(tmp_path)
    monkeypatch.setenv("RAY_TMPDIR", place)  # the token stays: Ray reads it once in a process
    with pytest.raises(SetupError, match="set RAY_TMPDIR to a folder with room") as raised:
        local_ray.start(include_dashboard=False, num_cpus=1, log_to_driver=False)
    assert place in str(raised.value)


def test_a_machine_that_is_too_busy_for_ray_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(**options: object) -> None:
        raise Exception("The current node timed out during startup.")  # Ray raises just this

    monkeypatch.setattr(local_ray.ray, "init", init)
    monkeypatch.setattr(local_ray, "give_token", lambda environment: None)
    with pytest.raises(Paused, match=r"did not start on this machine .*timed out.*run again") as caught:
        local_ray.start()
    assert caught.value.exit_code == 75
