"""The marks of a title: which watermark its pictures carry, whether a badge is seen, and what is said of both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipeline.core.errors import SetupError
from pipeline.media.badge import Badge
from pipeline.provenance.watermark import KEY, SMALLEST, Watermark, key_name, read_key

MARKS_REVISION = 3  # raised when a change alters the pictures by another mark or badge


@dataclass(frozen=True)
class TitleMarks:
    """`payload`: 12 hexadecimal digits, empty where the pictures carry no watermark. `key`: name of its key, never
    the key. `subject` is `real`, `synthetic`, `artwork` or `undeclared`."""

    payload: str = ""
    key: str = "public"
    badge: bool = False
    wanted: bool = True
    subject: str = "undeclared"
    consent: bool = False

    def identity(self) -> dict[str, object]:
        """What the pictures depend on."""
        return {"revision": MARKS_REVISION, "payload": self.payload, "key": self.key, "badge": self.badge}

    def said(self) -> dict[str, object]:
        """What the finished file and its sidecars say."""
        return {
            "marks": "on" if self.wanted else "off",
            "watermark": {"payload": self.payload, "key": self.key} if self.payload else None,
            "badge": self.badge,
            "subject": self.subject,
            "consent": self.consent,
        }

    def notes(self) -> list[str]:
        """What a user must know of them."""
        if not self.wanted:
            return [
                "marks are off: the video carries neither watermark nor content credentials, and in many places the "
                "law asks for both (EU AI Act, Art. 50); remove `marks: off` to mark it"
            ]
        if not self.payload:
            return [f"pictures of less than {SMALLEST} pixels are too small for a watermark: there is none"]
        return []

    def drawer(self, width: int, height: int) -> Callable[[np.ndarray], np.ndarray]:
        """What puts them on planes uint8 [height·3/2, width]; planes that stay as they are are handed back themselves.

        Raises SetupError where this machine has another key than the plan was made with.
        """
        if self.payload and key_name(read_key()) != self.key:
            raise SetupError(
                f"{KEY}: this machine has key {key_name(read_key())!r}, the title was planned with {self.key!r}; "
                "set the same key on every node, or on none"
            )
        mark = Watermark(self.payload, height, width, read_key()) if self.payload else None
        badge = Badge(width, height) if self.badge else None
        if mark is None and badge is None:
            return lambda planes: planes

        def draw(planes: np.ndarray) -> np.ndarray:
            planes = planes.copy()
            if badge is not None:
                badge.draw(planes)
            if mark is not None:
                mark.mark(planes)
            return planes

        return draw
