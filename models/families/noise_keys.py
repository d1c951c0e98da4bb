"""Keys of random numbers: every one comes from a generator keyed by title seed, purpose and clip index."""

from __future__ import annotations

import hashlib


def noise_key(seed: int, purpose: str, clip: int) -> int:
    """63-bit generator seed: the first 8 bytes of SHA-256 of `longtake/1|{seed}|{purpose}|{clip}`, sign bit off."""
    digest = hashlib.sha256(f"longtake/1|{seed}|{purpose}|{clip}".encode()).digest()
    return int.from_bytes(digest[:8], "big") & ((1 << 63) - 1)
