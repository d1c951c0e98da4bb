"""One driver at a time, for disks without hard links, where an object cannot be created only if it is absent.

On such a disk two drivers could both believe that they committed a GOP. So a driver holds a lease object there and
keeps changing it; another one watches it for a while and, where it changes, leaves with exit code 75. No clocks are
compared.
`verify` finds what is left of a race that slipped through.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from contextlib import suppress
from types import TracebackType

from pipeline.core.errors import DamagedObject, LongtakeError, MissingObject, Paused
from pipeline.store.small_json import get_json
from pipeline.store.store import Store

KEY = "_lease.json"
BEAT = 5.0  # seconds between two changes by the holder
PATIENCE = 4 * BEAT  # without a change for so long, the holder is taken for dead
SETTLE = 2.0  # seconds after which a lease must still be ours: longer than a put is on its way


class Lease:
    """Use as a context manager around a run. `lost` says why the run must stop, if another driver took over."""

    def __init__(
        self, store: Store, run: str, *, beat: float = BEAT, patience: float = PATIENCE, settle: float = SETTLE
    ):
        self._store, self._beat, self._patience, self._settle = store, beat, patience, settle
        self._me = f"{run} on {socket.gethostname()}, process {os.getpid()}"
        self._token = uuid.uuid4().hex
        self._count = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self.lost: str | None = None

    def __enter__(self) -> Lease:
        """Raises Paused, naming the holder, while another driver holds the lease."""
        self._wait_for_holder()
        self._write()
        time.sleep(self._settle)
        self._check()
        if self.lost:
            raise Paused(self.lost)
        self._thread.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end.set()
        self._thread.join()
        if self.lost is None:
            with suppress(LongtakeError):  # one that is left behind ends by itself
                self._store.delete(KEY)

    def _wait_for_holder(self) -> None:
        first = self._read()
        deadline = time.monotonic() + self._patience
        while first is not None and time.monotonic() < deadline:
            time.sleep(self._beat / 4)
            now = self._read()
            if now is None:
                return
            if now != first:
                raise Paused(self._refusal(now))

    def _refusal(self, holder: dict[str, object]) -> str:
        return (
            f"output {self._store} is in the hands of run {holder.get('holder')}, and this store cannot keep two "
            "drivers apart; run again when it is over"
        )

    def _keep(self) -> None:
        looked = time.monotonic()
        while not self._end.wait(self._beat):
            try:
                self._check()
                if self.lost:
                    return
                looked = time.monotonic()
                self._write()
            except LongtakeError as error:  # denied or silent for a moment: nobody has taken it that we would not see
                if time.monotonic() - looked > self._patience:
                    self.lost = f"the lease has not been readable for {self._patience:g} s ({error}); run again"
                    return

    def _check(self) -> None:
        holder = self._read()
        if holder is None or holder.get("token") != self._token:
            self.lost = self._refusal(holder or {"holder": "unknown (the lease was removed)"})

    def _write(self) -> None:
        self._count += 1
        facts = {"holder": self._me, "token": self._token, "count": self._count}
        self._store.put(KEY, json.dumps(facts).encode())

    def _read(self) -> dict[str, object] | None:
        try:
            found = get_json(self._store, KEY)
        except (MissingObject, DamagedObject):
            return None
        return found if isinstance(found, dict) else None
