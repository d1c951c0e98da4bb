"""Texts that would do something if a page took them for markup or script."""

from __future__ import annotations

HOSTILE = (
    "<script>globalThis.ran=1</script>",
    "</script><script>globalThis.ran=1</script>",
    "<!--<script>",
    "<img src=x onerror='globalThis.ran=1'>",
    "\"'><svg onload=globalThis.ran=1>",
    "javascript:globalThis.ran=1",
    "{{data}}{{title}}${globalThis.ran=1}`",
    "]]>&lt;b&gt;\u2028\u2029\\u003c\u202e",
)


def hostile(number: int) -> str:
    """All of them in one line, beginning at another one each time."""
    return " ".join(HOSTILE[(number + k) % len(HOSTILE)] for k in range(len(HOSTILE)))
