"""While a run goes on: inputs that a worker found damaged are looked at, and copied from their source again.

Off the driver's loop, which must not wait for it: the worker's job is tried again after a while anyway.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from pipeline.core.errors import LongtakeError
from pipeline.intake.input_reader import InputReader
from pipeline.scheduler.work import Event, Finished
from pipeline.sources.inputs import SourceFile
from pipeline.store.store import Store
from pipeline.store.suspect_inputs import suspect_inputs


class InputRepair:
    def __init__(self, store: Store, sources: Iterable[SourceFile], tell: Callable[[str], None] = lambda text: None):
        self._store, self._tell = store, tell
        self._sources = {source.sha256: source for source in sources}
        self._thread: threading.Thread | None = None

    def observe(self, events: Iterable[Event]) -> None:
        """Begin to look where something of a store went wrong; one look at a time."""
        outcomes = (outcome for event in events if isinstance(event, Finished) for outcome in event.outcomes)
        trouble = any(outcome.failure and outcome.failure.cause == "infrastructure" for outcome in outcomes)
        if trouble and not (self._thread and self._thread.is_alive()):
            self._thread = threading.Thread(target=self.mend, name="input repair", daemon=True)
            self._thread.start()

    def mend(self) -> None:
        """What cannot be mended stays in doubt, for the next run."""
        try:
            for sha256 in suspect_inputs(self._store) & set(self._sources):
                InputReader(self._store, self._tell).copy("inputs", self._sources[sha256])
        except LongtakeError as error:
            self._tell(f"inputs in doubt: {error}")
