"""What a person does about a title that did not come to its end."""

from __future__ import annotations

_AGAIN = "Run the same command again"


def remedy(state: str, kind: str) -> str:
    """One sentence or two, by the kind of reason; reasons themselves name value, place and what was expected."""
    if state == "paused":
        return f"{_AGAIN}: it continues where the records end."
    if state == "damaged":
        return "Run longtake verify: it says what is damaged, and rendering again makes only that anew."
    if state != "failed":
        return ""
    if kind == "poison":
        return (
            f"{_AGAIN}: it tries this place with fresh patience and keeps what is committed. If it fails there again, "
            "look at the worker's log, then run longtake verify."
        )
    return "Put right what the message names, then run the same command again: what is committed is kept."
