"""What names an address beyond doubt, without its being told: a hash of the whole of it.

`…/get?id=1` and `…/get?id=2` are two files, though a message shows neither number. A signature that expires is left
out, since it is another one every time that somebody asks for it: only where all its parts are there.
"""

from __future__ import annotations

import hashlib
from urllib.parse import unquote_plus

# Parameters that make up a signature, and those that may stand beside them. In lower case.
_SIGNATURES: tuple[tuple[frozenset[str], frozenset[str]], ...] = tuple(
    (frozenset(needed.split()), frozenset(more.split()))
    for needed, more in (
        (
            "x-amz-signature x-amz-date x-amz-expires x-amz-credential",
            "x-amz-algorithm x-amz-signedheaders x-amz-security-token x-amz-checksum-mode",
        ),
        ("awsaccesskeyid signature expires", "x-amz-security-token"),
        (
            "x-goog-signature x-goog-date x-goog-expires x-goog-credential",
            "x-goog-algorithm x-goog-signedheaders",
        ),
        ("googleaccessid signature expires", ""),
        ("sig se sv", "sp sr st sip spr srt ss skoid sktid skt ske sks skv saoid suoid scid sdd"),  # Azure
        ("signature expires key-pair-id", "hash-algorithm"),  # CloudFront
        ("signature policy key-pair-id", "hash-algorithm"),
    )
)


def without_secrets(address: str) -> str:
    """The address without user, password and the parameters of a signature that expires; as it is where it has none."""
    scheme, mark, rest = address.partition("://")
    if not mark:
        return address
    host, slash, path = rest.partition("/")
    address = f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"
    head, mark, rest = address.partition("?")
    if not mark:
        return address
    query, hash_mark, fragment = rest.partition("#")
    parts = query.split("&")
    names = {_name(part) for part in parts}
    for needed, more in _SIGNATURES:
        if needed <= names:
            kept = [part for part in parts if _name(part) not in needed | more]
            return head + ("?" + "&".join(kept) if kept else "") + hash_mark + fragment
    return address


def address_key(address: str) -> str:
    """sha256 of the whole address without its secrets: the same for the same file."""
    return hashlib.sha256(without_secrets(address).encode("utf-8", "surrogatepass")).hexdigest()


def has_secrets(address: str) -> bool:
    """Whether a part of the address was left out of its key."""
    return without_secrets(address) != address


def _name(part: str) -> str:
    return unquote_plus(part.partition("=")[0]).lower()
