"""A Ray of our own, on this machine alone: it listens on loopback, and answers nobody who has not its token.

Whoever may call Ray may run any program as the user who started it. So a Ray that we start for one run is not to be
reached from the network, and other users of this machine are refused: the token is of this run, unless the user has one
already (RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token). RAY_AUTH_MODE=disabled is heeded: then loopback is
all that protects it.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypedDict, Unpack

import ray
from ray._private import ray_constants

from pipeline.core.daemon_pool import DaemonPool
from pipeline.core.errors import Paused, SetupError
from pipeline.core.scratch import scratch_folder

TOKEN, TOKEN_FILE = "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
LOOPBACK = "127.0.0.1"


class RayOptions(TypedDict, total=False):
    """What is asked of `ray.init` here."""

    include_dashboard: bool
    num_cpus: int | None
    logging_level: int
    log_to_driver: bool
    _temp_dir: str


def start(**options: Unpack[RayOptions]) -> None:
    """`ray.init` of a cluster on this machine alone. Raises SetupError where it would be open to others.

    Linux ends Ray's processes when the thread that started them ends, so they are started by one that lasts.
    """
    if threading.current_thread() is threading.main_thread():
        _start(**options)
    else:
        DaemonPool("ray").submit(partial(_start, **options)).result()


def _start(**options: Unpack[RayOptions]) -> None:
    give_token(os.environ)
    # Ray tells every user that a token is asked for, and how to do without.
    logging.getLogger("ray._private.authentication.authentication_token_setup").setLevel(logging.ERROR)
    if "RAY_TMPDIR" not in os.environ:  # Ray takes TMPDIR as it is, also where it cannot be used
        options["_temp_dir"] = os.path.join(scratch_folder(), "ray")
    with on_loopback():
        try:
            ray.init(address="local", **options)
        except OSError as error:
            where = os.environ.get("RAY_TMPDIR") or scratch_folder()
            raise SetupError(
                f"Ray cannot keep its files in {where} ({error.strerror or error}); set RAY_TMPDIR to a folder with "
                "room that you may write to, by a short path"
            ) from error
        except Exception as error:
            if type(error) is not Exception:  # Ray has no type of its own for a machine that is too busy to start it
                raise
            text = f"Ray did not start on this machine ({error}); end what else runs here, then run again"
            raise Paused(text) from error
    address = ray.get_runtime_context().gcs_address
    if not address.startswith(f"{LOOPBACK}:"):
        ray.shutdown()
        raise SetupError(
            f"Ray {ray.__version__} listens on {address}, expected {LOOPBACK}: others could run programs here; install "
            "the version that longtake asks for"
        )


def give_token(environment: MutableMapping[str, str]) -> None:
    """A token of this run's own, where the user has none: Ray would write one into the home folder, for all to read."""
    known = environment.get(TOKEN) or environment.get(TOKEN_FILE)
    if not known and not _kept_at_home():
        environment[TOKEN] = secrets.token_hex(32)


def _kept_at_home() -> bool:
    """Whether the user's home folder holds a token. One that is not there, is a file or is locked holds none."""
    try:
        with Path.home().joinpath(".ray", "auth_token").open():
            return True
    except (OSError, RuntimeError):  # RuntimeError: nothing says where it is
        return False


@contextmanager
def on_loopback() -> Iterator[None]:
    """What is started within takes the loopback address for this machine's own, and listens nowhere else.

    Ray does so where it takes a machine for one that cannot be part of a cluster; it asks this variable, once.
    """
    name, before = ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR, ray_constants.ENABLE_RAY_CLUSTER
    kept = os.environ.get(name)
    ray_constants.ENABLE_RAY_CLUSTER, os.environ[name] = False, "0"
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before
        os.environ.pop(name)
        os.environ |= {} if kept is None else {name: kept}
