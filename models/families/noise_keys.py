"""Keys of random numbers: every one comes from a generator keyed by title seed, purpose, clip index and try."""

from __future__ import annotations

import hashlib


def noise_key(seed: int, purpose: str, clip: int, attempt: int = 0) -> int:
    """63-bit generator seed: the first 8 bytes of SHA-256 of `longtake/1|{seed}|{purpose}|{clip}`, sign bit off.

    A clip that is sampled again (`models.families.gate`) has `|{attempt}` behind it, from 1 on.
    """
    again = f"|{attempt}" if attempt else ""
    digest = hashlib.sha256(f"longtake/1|{seed}|{purpose}|{clip}{again}".encode()).digest()
    return int.from_bytes(digest[:8], "big") & ((1 << 63) - 1)
