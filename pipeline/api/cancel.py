"""How another thread, or a signal handler, asks a render to stop."""

from __future__ import annotations

from collections.abc import Callable


class Cancel:
    """Give it to `render`, and call `set` from anywhere: no new work is begun, and what is in hand is finished.

    It holds no lock, so a signal handler may call it. One object stops one render; once set it stays set.
    """

    def __init__(self) -> None:
        self._reason: str | None = None
        self._hooks: list[Callable[[], None]] = []

    def set(self, reason: str = "cancelled") -> None:
        """Ask to stop; the titles that are not done name `reason`. Later calls change nothing."""
        if self._reason is None:
            self._reason = reason
            for hook in self._hooks:
                hook()

    def is_set(self) -> bool:
        return self._reason is not None

    @property
    def reason(self) -> str | None:
        return self._reason

    def call(self, hook: Callable[[], None]) -> None:
        """Have `hook` called as soon as somebody asks to stop; at once if somebody has."""
        self._hooks.append(hook)
        if self._reason is not None:
            hook()
