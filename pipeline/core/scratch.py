"""The disk for what lies there for a moment: TMPDIR where it can be used, else the system's own folder.

Whoever copies from a store or the web writes there; that it is full is no fault of what is copied, nor of the output.
"""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.core.errors import SetupError, StoreError

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class ScratchFull(StoreError):
    """There is no room for what should lie there for a moment."""


def scratch_folder() -> str:
    """Raises SetupError where no folder can be written to."""
    try:
        return tempfile.gettempdir()
    except FileNotFoundError as error:
        raise SetupError(
            f"no folder for temporary files ({error.strerror}): none of them can be written to, or all are full; make "
            "room, or set TMPDIR to a folder that you may write to"
        ) from None


def no_room(reason: str) -> str:
    """What to say of a disk without room, and what to do."""
    return f"temporary files in {tempfile.gettempdir()}: {reason}; make room there, or set TMPDIR to another disk"


@contextmanager
def writing_scratch() -> Iterator[None]:
    """Around what writes to such a file. Raises ScratchFull."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise ScratchFull(no_room(error.strerror or str(error))) from error
